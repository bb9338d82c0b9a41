"""Images and annotated regions of a dataset as packed arrays."""
from dataclasses import dataclass, field

import numpy as np

from .structures import ImageRecord


class Decimals:
    """Numbers with few decimals as whole int32 multiples of 1 / scale: half the size of float64, and the same values.

    Slices, and the whole by ``np.asarray``, are float64: the nearest to the decimal, as a json reader gives.

    Args:
        whole: int32 array (R, ...).
        scale: a power of ten.
    """

    def __init__(self, whole: np.ndarray, scale: int) -> None:
        self.whole = whole
        self.scale = scale

    def __len__(self) -> int:
        return len(self.whole)

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        return self.whole[rows] / self.scale

    def __array__(self, dtype: type | None = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self.whole / self.scale, dtype)


@dataclass
class RegionTable:
    """Images and annotated regions of a dataset, packed in arrays: millions of boxes cost megabytes, not dicts.

    The regions of image i are the rows ``first[i]:first[i + 1]`` of ``boxes``, ``labels`` and ``segment_ids``.

    Attributes:
        img_ids, img_paths, segmentation_paths: one entry for each of the n images.
        shapes: (n, 2) height and width in pixels, -1 where unknown.
        first: (n + 1,) offsets.
        boxes: (R, 4) float64 (x, y, width, height), or `Decimals` that read as such.
        labels: (R,) integers.
        segment_ids: (R,) int64, or none where the file has no segments.
        classes: T names in the order of their category ids.
        is_thing: (T,) bool.
        left_out: what of the file is not in the table, in words; empty: nothing.
    """

    img_ids: list[int | str]
    img_paths: list[str]
    segmentation_paths: list[str | None]
    shapes: np.ndarray
    first: np.ndarray
    boxes: np.ndarray | Decimals = field(default_factory=lambda: np.zeros((0, 4)))
    labels: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    segment_ids: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    classes: tuple[str, ...] = ()
    is_thing: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))
    left_out: str = ''

    def __len__(self) -> int:
        return len(self.img_ids)

    def record(self, index: int) -> ImageRecord:
        """Image ``index`` with its regions, as region sources take it."""
        rows = slice(self.first[index], self.first[index + 1])
        labels = self.labels[rows].astype(np.int64)
        is_thing = self.is_thing[labels] if len(self.is_thing) else np.ones(len(labels), bool)
        height, width = self.shapes[index].tolist()
        # Copies, since the arrays may be mapped from a file.
        return ImageRecord(self.img_ids[index], self.img_paths[index], (height, width), np.array(self.boxes[rows]),
                           labels, is_thing, np.array(self.segment_ids[rows]), self.segmentation_paths[index])


def area_inside(boxes: np.ndarray, shapes: np.ndarray, owner: np.ndarray, rows: int = 1 << 18) -> np.ndarray:
    """Whether each box has an area inside its image (R,) bool; of an image of unknown size: whether it has one at all.

    Args:
        boxes: (R, 4) (x, y, width, height).
        shapes: (n, 2) height and width, not positive where unknown.
        owner: (R,) image of each.
        rows: so many at a time, to spare memory.
    """
    inside = np.empty(len(boxes), bool)
    for i in range(0, len(boxes), rows):
        first, size, limit = boxes[i:i + rows, :2], boxes[i:i + rows, 2:], shapes[owner[i:i + rows], ::-1]
        unknown = (limit <= 0).any(1, keepdims=True)
        within = (first < limit) & (first + size > 0) | unknown
        inside[i:i + rows] = (within & (size > 0)).all(1)
    return inside


def pack_decimals(values: np.ndarray, rows: int = 1 << 18) -> np.ndarray | Decimals:
    """Values as `Decimals` of at most three decimals if none of them changes by it, else as they are.

    Args:
        values: float64 (R, ...).
        rows: so many at a time, to spare memory.
    """
    whole = np.empty(values.shape, np.int32)
    for scale in (1, 10, 100, 1000):
        for i in range(0, len(values), rows):
            part = values[i:i + rows]
            scaled = np.rint(part * scale)
            if np.abs(scaled).max() >= 2**31 or not np.array_equal(scaled / scale, part):
                break
            whole[i:i + rows] = scaled
        else:
            return Decimals(whole, scale)
    return values


def merge_tables(tables: list[RegionTable]) -> RegionTable:
    """Joins the tables of several roots; image ids become ``ROOT NUMBER/ID``, so that they stay unique.

    Raises:
        ValueError: the roots have different classes.
    """
    if len(tables) == 1:
        return tables[0]
    for i, table in enumerate(tables[1:], 1):
        if table.classes != tables[0].classes:
            raise ValueError(f'ann_file: found {len(table.classes)} classes in root {i}, expected the '
                             f'{len(tables[0].classes)} classes of root 0 in the same order')
    offsets = np.cumsum([0] + [len(t.boxes) for t in tables])
    first = [t.first[:-1] + offset for t, offset in zip(tables, offsets)] + [offsets[-1:]]
    return RegionTable(
        [f'{i}/{img_id}' for i, t in enumerate(tables) for img_id in t.img_ids],
        [path for t in tables for path in t.img_paths],
        [path for t in tables for path in t.segmentation_paths],
        np.concatenate([t.shapes for t in tables]), np.concatenate(first),
        np.concatenate([t.boxes for t in tables]), np.concatenate([t.labels for t in tables]),
        np.concatenate([t.segment_ids for t in tables]), tables[0].classes, tables[0].is_thing,
        '\n'.join(t.left_out for t in tables if t.left_out))


def keep_images(table: RegionTable, keep: np.ndarray) -> RegionTable:
    """The table without the annotation-free images: ``keep`` (n,) bool must be True where an image has regions."""
    picked = np.flatnonzero(keep)
    first = np.append(table.first[picked], table.first[-1])
    return RegionTable([table.img_ids[i] for i in picked], [table.img_paths[i] for i in picked],
                       [table.segmentation_paths[i] for i in picked], table.shapes[picked], first, table.boxes,
                       table.labels, table.segment_ids, table.classes, table.is_thing, table.left_out)
