"""Fields of the entries of a COCO-style json; an error names the entry and the field."""
from math import isfinite
from reprlib import repr as short
from typing import Any, NamedTuple

import numpy as np


class Kind(NamedTuple):
    """What a value of the json must be: its Python types, and in words."""

    types: set[type]
    words: str


ID = Kind({int, str}, 'an id: a whole number or a text')
NUMBER = Kind({int}, 'a whole number')
PIXELS = Kind({int, float}, 'a number of pixels, or no such key')
TEXT = Kind({str}, 'a text')
LIST = Kind({list}, 'a list')
FLAG = Kind({int, bool}, '0 or 1')


def column(rows: list[dict], key: str, where: str, start: int = 0, kind: Kind | None = None,
           default: Any = None) -> list:
    """One value of every entry.

    Args:
        rows: entries.
        key: of the value.
        where: file and list, for the message.
        start: position of the first entry in the list.
        kind: what a value must be; None: anything.
        default: the value of an entry without the key; None: the key must be there.

    Raises:
        ValueError: an entry lacks the key or is no object, or a value is of another kind.
    """
    try:
        values = [row[key] for row in rows] if default is None else [row.get(key, default) for row in rows]
    except (KeyError, TypeError, AttributeError):
        i, row = next((i, row) for i, row in enumerate(rows) if not isinstance(row, dict) or key not in row)
        found = f'the keys {sorted(row)}' if isinstance(row, dict) else short(row)
        raise ValueError(f"{where}[{start + i}]: found {found}, expected '{key}'") from None
    if kind and not set(map(type, values)) <= kind.types:
        i, value = next((i, value) for i, value in enumerate(values) if type(value) not in kind.types)
        raise ValueError(f'{where}[{start + i}].{key}: found {short(value)}, expected {kind.words}')
    return values


def boxes(rows: list[dict], where: str, start: int = 0) -> np.ndarray:
    """The boxes (R, 4) float64; one of zero size passes (COCO has a few).

    Args:
        rows: entries with ``bbox``.
        where: file and list, for the message.
        start: position of the first entry in the list.

    Raises:
        ValueError: a box is not [x, y, width, height].
    """
    values = column(rows, 'bbox', where, start)
    try:  # the whole column at once; what is odd about it the slow check says
        packed = np.array(values)
        if packed.shape == (len(rows), 4) and packed.dtype.kind in 'if' and np.isfinite(packed).all() \
                and (packed[:, 2:] >= 0).all():
            return packed.astype(np.float64)
    except ValueError:
        pass
    for i, box in enumerate(values, start):
        if not (isinstance(box, list) and len(box) == 4 and all(isinstance(v, int | float) for v in box)
                and all(map(isfinite, box)) and box[2] >= 0 and box[3] >= 0):
            raise ValueError(f'{where}[{i}].bbox: found {short(box)}, expected [x, y, width, height] in pixels, width '
                             'and height not negative')
    return np.array(values, np.float64).reshape(-1, 4)  # (R, 4)


def file_name(image: dict, path: str, i: int) -> str:
    """The relative name of an image's file: its ``file_name``, or as in LVIS the last two parts of its ``coco_url``.

    Args:
        image: entry of ``images``.
        path: json file, for the message.
        i: position of the entry.

    Raises:
        ValueError: there is no such key, or its value is no text.
    """
    key = next((key for key in ('file_name', 'coco_url') if key in image), None)
    if key is None:
        raise ValueError(f"{path}: image {image['id']}: found the keys {sorted(image)}, expected 'file_name' or "
                         "'coco_url'")
    name = image[key]
    if not isinstance(name, str) or not name:
        raise ValueError(f'{path}: images[{i}].{key}: found {short(name)}, expected the name of the image file')
    return name if key == 'file_name' else '/'.join(name.split('/')[-2:])
