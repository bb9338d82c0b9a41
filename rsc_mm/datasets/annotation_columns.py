"""Lists of a COCO-style json to columns, some thousand entries at a time; an error names the entry."""
from array import array
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import numpy as np

from .annotation_fields import ID, LIST, NUMBER, PIXELS, TEXT, boxes, column, file_name

_CHUNK = 1 << 14  # entries that are Python objects at the same time


class Codes:
    """Ids as numbers in the order in which they appear, since they are looked up only when the whole file is read.

    Attributes:
        numbers: one for each entry.
        number_of: id -> number.
    """

    def __init__(self) -> None:
        self.numbers = array('i')
        self.number_of: dict[int | str, int] = {}

    def extend(self, ids: list[int | str]) -> None:
        """Adds entries.

        Args:
            ids: one for each.
        """
        for entry in dict.fromkeys(ids):
            self.number_of.setdefault(entry, len(self.number_of))
        self.numbers.extend(map(self.number_of.__getitem__, ids))

    def resolve(self, place: dict[int | str, int], where: str, field: str, key: str) -> np.ndarray:
        """The place of every entry's id (R,) int32.

        Args:
            place: of every id that is allowed.
            where: file and list of the entries, for the message.
            field: of the entries that holds the id.
            key: the list that the ids refer to.

        Raises:
            ValueError: an id is not allowed.
        """
        numbers = np.frombuffer(self.numbers, np.int32) if len(self.numbers) else np.zeros(0, np.int32)
        for entry, number in self.number_of.items():
            if entry not in place:
                raise ValueError(f'{where}[{np.argmax(numbers == number)}].{field}: found {entry!r}, expected an id of '
                                 f"the {len(place)} entries of '{key}'")
        return np.array([place[entry] for entry in self.number_of], np.int32)[numbers]


class ImageColumns:
    """The list ``images``.

    Args:
        path: json file, for messages.
        entries: of the list, read to its end.

    Attributes:
        ids, names: one for each of the n images; names are relative.
        shapes: (n, 2) height and width, -1 where unknown.

    Raises:
        ValueError: an entry lacks a key, or its value is of another kind.
    """

    def __init__(self, path: str, entries: Iterator[dict]) -> None:
        self.ids: list[int | str] = []
        self.names: list[str] = []
        shapes: list = []
        for start, images in chunks(entries):
            where = f'{path}: images'
            self.ids += column(images, 'id', where, start, ID)
            self.names += [file_name(image, path, i) for i, image in enumerate(images, start)]
            shapes += zip(*(column(images, key, where, start, PIXELS, -1) for key in ('height', 'width')))
        self.shapes = np.array(shapes, np.int64).reshape(-1, 2)  # (n, 2)


class RegionColumns:
    """The list ``annotations``, or the segments in it.

    Args:
        path: json file, for messages.
        needs: keys to read of every annotation, of 'bbox', 'category_id', 'segments_info'.
        entries: of the list, read to its end.

    Attributes:
        where: file and list of the regions, for messages.
        owners: image of every annotation.
        counts: regions of every annotation.
        names: panoptic png of every annotation.
        boxes: numbers of all boxes, four each.
        categories, segment_ids: of every region.

    Raises:
        ValueError: an entry lacks a key, or its value is of another kind.
    """

    def __init__(self, path: str, needs: tuple[str, ...], entries: Iterator[dict]) -> None:
        self.path = path
        self.segmented = 'segments_info' in needs
        self.labelled = 'category_id' in needs
        self.where = f'{path}: segments_info' if self.segmented else f'{path}: annotations'
        self.owners, self.categories = Codes(), Codes()
        self.names: list[str] = []
        self.counts, self.boxes, self.segment_ids = array('i'), array('d'), array('q')
        for start, rows in chunks(entries):
            self.owners.extend(column(rows, 'image_id', f'{path}: annotations', start, ID))
            self._read_regions(self._segments(rows, start) if self.segmented else rows)

    def __len__(self) -> int:
        return len(self.boxes) // 4

    def _segments(self, rows: list[dict], start: int) -> list[dict]:
        where = f'{self.path}: annotations'
        self.names += column(rows, 'file_name', where, start, TEXT)
        segments = column(rows, 'segments_info', where, start, LIST)
        self.counts.extend(map(len, segments))
        return [info for infos in segments for info in infos]

    def _read_regions(self, rows: list[dict]) -> None:
        start = len(self)
        self.boxes.frombytes(boxes(rows, self.where, start).tobytes())
        if self.labelled:
            self.categories.extend(column(rows, 'category_id', self.where, start, ID))
        if self.segmented:
            self.segment_ids.extend(column(rows, 'id', self.where, start, NUMBER, -1))


def chunks(entries: Iterable[Any]) -> Iterator[tuple[int, list[Any]]]:
    """Some thousand entries at a time, with the position of the first.

    Args:
        entries: any number.
    """
    entries, start = iter(entries), 0
    while chunk := list(islice(entries, _CHUNK)):
        yield start, chunk
        start += len(chunk)
