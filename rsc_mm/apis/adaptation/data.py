"""The user's images, checked and split into those to train on and those to measure on."""
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from rsc_mm.datasets.annotations import list_images, parse_coco
from rsc_mm.datasets.image_io import BadImageError, read_image
from rsc_mm.utils.tables import write_json

LEAST_IMAGES = 10
HELD_OUT_SHARE, MOST_HELD_OUT = 0.2, 200
SHOWN = 5
"""Most files that a message names."""
Entry = tuple[str, tuple[int, int], np.ndarray]


@dataclass
class Images:
    """Annotation files of the two splits.

    Attributes:
        train, held_out: COCO-style json, with boxes where they were given.
        counts: images of the two.
        boxes: whether they have boxes.
    """

    train: Path
    held_out: Path
    counts: tuple[int, int]
    boxes: bool


def read_images(folder: Path, boxes: Path | None = None) -> list[Entry]:
    """Read every image once.

    Args:
        folder: images, in sub-folders too.
        boxes: COCO-style json, its ``file_name`` below ``folder``; images without a box are not used.

    Returns:
        File name below the folder, height and width, and boxes (K, 4) as (x, y, width, height) of each image.

    Raises:
        FileNotFoundError: the folder is missing or has no image.
        ValueError: an image cannot be read, the json names images that are not there, or there are too few.
    """
    found = [str(Path(path).relative_to(folder)) for path in list_images(str(folder)).img_paths]
    entries = _with_boxes(found, folder, boxes) if boxes else {name: np.zeros((0, 4)) for name in found}
    if len(entries) < LEAST_IMAGES:
        raise ValueError(f'{boxes or folder}: found {len(entries)} images{" with boxes" if boxes else ""}, expected at '
                         f'least {LEAST_IMAGES}: some are held out to measure on')
    return [(name, shape, entries[name]) for name, shape in _read_all(folder, list(entries)).items()]


def split_images(entries: list[Entry], out: Path, boxes: bool = False) -> Images:
    """Write ``train.json`` and ``held_out.json``: every fifth image, at most 200.

    Args:
        entries: see `read_images`.
        out: where the two files go.
        boxes: whether the entries have boxes.
    """
    count = min(MOST_HELD_OUT, int(len(entries) * HELD_OUT_SHARE))
    held = set(np.linspace(0, len(entries) - 1, count).astype(int).tolist())
    train = [row for i, row in enumerate(entries) if i not in held]
    held_out = [row for i, row in enumerate(entries) if i in held]
    write_json(out / 'train.json', _to_coco(train))
    write_json(out / 'held_out.json', _to_coco(held_out))
    return Images(out / 'train.json', out / 'held_out.json', (len(train), len(held_out)), boxes)


def _with_boxes(found: list[str], folder: Path, boxes: Path) -> dict[str, np.ndarray]:
    table = parse_coco(str(boxes), ('bbox', ))
    foreign = sorted(set(table.img_paths) - set(found))
    if foreign:
        raise ValueError(f'{boxes}: found {len(foreign)} of {len(table)} images that are not below {folder}, '
                         f'{foreign[:SHOWN]} first; expected file names of images there, such as {found[0]!r}')
    rows = {name: np.asarray(table.boxes[table.first[i]:table.first[i + 1]])
            for i, name in enumerate(table.img_paths)}
    return {name: rows[name] for name in found if len(rows.get(name, ()))}


def _read_all(folder: Path, names: list[str]) -> dict[str, tuple[int, int]]:
    """Heights and widths; every file is decoded, so that no training ends at the one that is cut."""
    shapes, broken = {}, []
    for name in tqdm(names, desc='reading images', disable=None):
        try:
            image = read_image(str(folder / name))
            shapes[name] = (image.shape[1], image.shape[2])
        except BadImageError as error:
            broken.append(str(error))
    if broken:
        listed = '\n'.join(f'  {reason}' for reason in broken[:SHOWN])
        raise ValueError(f'{folder}: found {len(broken)} of {len(names)} images that cannot be read; repair or remove '
                         f'them:\n{listed}')
    return shapes


def _to_coco(rows: list[Entry]) -> dict[str, list]:
    images = [dict(id=i, file_name=name, height=shape[0], width=shape[1]) for i, (name, shape, _) in enumerate(rows)]
    owned = [(i, box.tolist()) for i, (_, _, boxes) in enumerate(rows) for box in boxes]
    return dict(images=images, annotations=[dict(id=k, image_id=i, bbox=box) for k, (i, box) in enumerate(owned)])
