"""Files of pseudo boxes of unknown objects (OV-DQUO): reading and writing."""
import json
from pathlib import Path

import numpy as np

from .annotation_fields import ID, Kind, boxes, column

WEIGHT = Kind({int, float}, 'a number above 0 and at most 1')


def read_unknown_objects(path: str | Path) -> dict[int | str, tuple[np.ndarray, np.ndarray]]:
    """Pseudo boxes by image.

    The file is a flat json list of entries with ``image_id``, ``bbox`` [x, y, width, height] in original pixels and
    ``weight``, how likely it is an object, above 0 and at most 1 (1 where it is missing): what OV-DQUO's public files
    hold and tools/data/generate_unknown_objects.py writes. Other keys, such as ``pseudo`` and ``category_id``, are not
    read.

    Args:
        path: the file.

    Returns:
        By image id the boxes (K, 4) as (x, y, width, height) and their weights (K,), in the order of the file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no such list; the message names the entry.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'{path}: found no such file, expected the pseudo boxes of unknown objects: the '
                                'official json or one that tools/data/generate_unknown_objects.py writes; check '
                                'unknown_objects and data_root')
    try:
        rows = json.loads(path.read_text(encoding='utf-8'))
    except ValueError as error:
        raise ValueError(f'{path}: cannot be read as json ({error})') from error
    if not isinstance(rows, list):
        raise ValueError(f'{path}: found {type(rows).__name__} at the top, expected a list of entries with image_id, '
                         'bbox and weight, as tools/data/generate_unknown_objects.py writes')
    owners = column(rows, 'image_id', str(path), kind=ID)
    packed = boxes(rows, str(path))
    weights = column(rows, 'weight', str(path), kind=WEIGHT, default=1.)
    for i, weight in enumerate(weights):
        if not 0 < weight <= 1:
            raise ValueError(f'{path}[{i}].weight: found {weight}, expected {WEIGHT.words}')
    found: dict[int | str, list[int]] = {}
    for i, owner in enumerate(owners):
        found.setdefault(owner, []).append(i)
    values = np.array(weights, np.float32)
    return {owner: (packed[numbers], values[numbers]) for owner, numbers in found.items()}
