"""COCO-style json files and plain folders to one packed table of images and regions."""
import json
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from .structures import ImageRecord

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.webp', '.bmp')


@dataclass
class RegionTable:
    """Images and annotated regions of a dataset, packed in arrays: millions of boxes cost megabytes, not dicts.

    The regions of image i are the rows ``first[i]:first[i + 1]`` of ``boxes``, ``labels`` and ``segment_ids``.

    Attributes:
        img_ids, img_paths, segmentation_paths: one entry for each of the n images.
        shapes: (n, 2) height and width in pixels, -1 where unknown.
        first: (n + 1,) offsets.
        boxes: (R, 4) float64 (x, y, width, height).
        labels, segment_ids: (R,) int64.
        classes: T names in the order of their category ids.
        is_thing: (T,) bool.
    """

    img_ids: list[int | str]
    img_paths: list[str]
    segmentation_paths: list[str | None]
    shapes: np.ndarray
    first: np.ndarray
    boxes: np.ndarray = field(default_factory=lambda: np.zeros((0, 4)))
    labels: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    segment_ids: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    classes: tuple[str, ...] = ()
    is_thing: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))

    def __len__(self) -> int:
        return len(self.img_ids)

    def record(self, index: int) -> ImageRecord:
        """Image ``index`` with its regions, as region sources take it."""
        rows = slice(self.first[index], self.first[index + 1])
        labels = self.labels[rows]
        is_thing = self.is_thing[labels] if len(self.is_thing) else np.ones(len(labels), bool)
        height, width = self.shapes[index].tolist()
        return ImageRecord(self.img_ids[index], self.img_paths[index], (height, width), self.boxes[rows], labels,
                           is_thing, self.segment_ids[rows], self.segmentation_paths[index])


def load_json(path: str | Path) -> dict[str, Any]:
    """A json file whose top level is an object.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no json, or a list.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'{path}: found no such file, expected a COCO-style json; check ann_file and data_root')
    try:
        content = json.loads(Path(path).read_text(encoding='utf-8'))
    except ValueError as error:
        raise ValueError(f'{path}: found no valid json ({error}), expected COCO-style json; is it complete?') from None
    if not isinstance(content, dict):
        raise ValueError(f"{path}: found a {type(content).__name__} at the top level, expected an object with 'images'")
    return content


def load_coco(path: str, image_root: str, needs: tuple[str, ...], segmentation_root: str) -> RegionTable:
    """Reads a COCO, LVIS or COCO panoptic json.

    Args:
        path: json file. An image names its file by ``file_name``, or as in LVIS by the last two parts of ``coco_url``.
        image_root: folder of the image files.
        needs: keys to read of every annotation, of 'bbox', 'category_id', 'segments_info'; none: images only.
        segmentation_root: folder of the panoptic pngs.

    Returns:
        The table; an image without annotation has no rows.

    Raises:
        FileNotFoundError, ValueError: the file is missing or breaks the format; the message names the entry.
    """
    content = load_json(path)
    images = _images(content, path)
    ids = _column(images, 'id', f'{path}: images')
    position = {img_id: i for i, img_id in enumerate(ids)}
    if len(position) != len(ids):
        twice = next(img_id for i, img_id in enumerate(ids) if position[img_id] != i)
        raise ValueError(f'{path}: images: found the id {twice!r} twice, expected unique ids')
    shapes = [(image.get('height', -1), image.get('width', -1)) for image in images]
    table = RegionTable(ids, [str(Path(image_root, _file_name(image, path))) for image in images], [None] * len(ids),
                        np.array(shapes, np.int64), np.zeros(len(ids) + 1, np.int64))
    if needs:
        _fill(table, content, position, needs, segmentation_root, path)
    return table


def list_images(root: str) -> RegionTable:
    """All images below a folder, in the order of their paths; for image-text collections such as CC3M.

    Raises:
        FileNotFoundError: the folder is missing or holds no image.
    """
    if not Path(root).is_dir():
        raise FileNotFoundError(f'{root}: found no such folder, expected one with images; check data_root, img_prefix')
    paths = sorted(str(p) for p in Path(root).rglob('*') if p.suffix.lower() in IMAGE_SUFFIXES)
    if not paths:
        raise FileNotFoundError(f'{root}: found no image file, expected one of {", ".join(IMAGE_SUFFIXES)} in the '
                                'folder or below; unpack its archives first')
    n = len(paths)
    return RegionTable(list(paths), paths, [None] * n, np.full((n, 2), -1), np.zeros(n + 1, np.int64))


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
        np.concatenate([t.segment_ids for t in tables]), tables[0].classes, tables[0].is_thing)


def keep_images(table: RegionTable, keep: np.ndarray) -> RegionTable:
    """The table without the annotation-free images: ``keep`` (n,) bool must be True where an image has regions."""
    picked = np.flatnonzero(keep)
    first = np.append(table.first[picked], table.first[-1])
    return RegionTable([table.img_ids[i] for i in picked], [table.img_paths[i] for i in picked],
                       [table.segmentation_paths[i] for i in picked], table.shapes[picked], first, table.boxes,
                       table.labels, table.segment_ids, table.classes, table.is_thing)


def _images(content: dict, path: str) -> list[dict]:
    images = content.get('images')
    if not isinstance(images, list):
        raise ValueError(f"{path}: found the keys {sorted(content)}, expected a list 'images'; is it COCO-style?")
    if not images:
        raise ValueError(f'{path}: images: found an empty list, expected at least one image')
    return images


def _file_name(image: dict, path: str) -> str:
    if 'file_name' in image:
        return image['file_name']
    if 'coco_url' in image:
        return '/'.join(image['coco_url'].split('/')[-2:])
    raise ValueError(f"{path}: image {image['id']}: found the keys {sorted(image)}, expected 'file_name' or 'coco_url'")


def _fill(table: RegionTable, content: dict, position: dict, needs: tuple[str, ...], root: str, path: str) -> None:
    """Writes the regions, grouped by image in their order of appearance."""
    rows = content.get('annotations')
    if not isinstance(rows, list):
        raise ValueError(f"{path}: found the keys {sorted(content)}, expected a list 'annotations' with {list(needs)}")
    where = f'{path}: annotations'
    owner = _owners(rows, position, where)
    if 'segments_info' in needs:
        for i, name in zip(owner, _column(rows, 'file_name', where)):
            table.segmentation_paths[i] = str(Path(root, name))
        segments = _column(rows, 'segments_info', where)
        owner = np.repeat(owner, [len(infos) for infos in segments])
        rows, where = [info for infos in segments for info in infos], f'{path}: segments_info'
    order = np.argsort(owner, kind='stable')
    table.first = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=len(table)))])
    table.boxes = _boxes(rows, where)[order]
    table.segment_ids = np.array([row.get('id', -1) for row in rows], np.int64)[order]
    table.labels = np.zeros(len(rows), np.int64)
    if 'category_id' in needs:
        table.classes, table.is_thing, label_of = _categories(content, path)
        table.labels = _labels(rows, label_of, where)[order]


def _column(rows: list[dict], key: str, where: str) -> list:
    try:
        return [row[key] for row in rows]
    except KeyError:
        i = next(i for i, row in enumerate(rows) if key not in row)
        raise ValueError(f"{where}[{i}]: found the keys {sorted(rows[i])}, expected '{key}'") from None


def _owners(rows: list[dict], position: dict[int | str, int], where: str) -> np.ndarray:
    """(R,) position of the image of every row."""
    ids = _column(rows, 'image_id', where)
    for i, img_id in enumerate(ids):
        if img_id not in position:
            raise ValueError(f"{where}[{i}].image_id: found {img_id!r}, expected an id of the {len(position)} entries "
                             "of 'images'")
    return np.array([position[img_id] for img_id in ids], np.int64)


def _boxes(rows: list[dict], where: str) -> np.ndarray:
    """(R, 4) of the rows; a box of zero size passes (COCO has a few), the sources' area limits drop it."""
    boxes = _column(rows, 'bbox', where)
    for i, box in enumerate(boxes):
        if not (isinstance(box, list) and len(box) == 4 and all(isinstance(v, int | float) for v in box)
                and all(map(isfinite, box)) and box[2] >= 0 and box[3] >= 0):
            raise ValueError(f'{where}[{i}].bbox: found {box}, expected [x, y, width, height] in pixels, width and '
                             'height not negative')
    return np.array(boxes, np.float64).reshape(-1, 4)  # (R, 4)


def _categories(content: dict, path: str) -> tuple[tuple[str, ...], np.ndarray, dict[int, int]]:
    """Names, thing flags and label of each id, in the order of the category ids as class embeddings are."""
    categories = content.get('categories')
    if not isinstance(categories, list) or not categories:
        raise ValueError(f"{path}: found the keys {sorted(content)}, expected a list 'categories' with ids and names")
    _column(categories, 'id', f'{path}: categories')
    categories = sorted(categories, key=lambda category: category['id'])
    names = tuple(_column(categories, 'name', f'{path}: categories'))
    is_thing = np.array([bool(category.get('isthing', 1)) for category in categories])
    return names, is_thing, {category['id']: label for label, category in enumerate(categories)}


def _labels(rows: list[dict], label_of: dict[int, int], where: str) -> np.ndarray:
    ids = _column(rows, 'category_id', where)
    for i, category in enumerate(ids):
        if category not in label_of:
            raise ValueError(f"{where}[{i}].category_id: found {category!r}, expected an id of the {len(label_of)} "
                             "entries of 'categories'")
    return np.array([label_of[category] for category in ids], np.int64)
