"""COCO-style json files and plain folders to one packed table of images and regions."""
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from reprlib import repr as short
from typing import Any

import numpy as np

from .annotation_columns import ImageColumns, RegionColumns
from .annotation_fields import FLAG, ID, TEXT, column
from .json_stream import read_members
from .region_table import RegionTable, area_inside

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.webp', '.bmp', '.tif', '.tiff')


def load_json(path: str | Path) -> dict[str, Any]:
    """A json file whose top level is an object.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no json, or a list.
    """
    return read_members(path)


def load_coco(path: str, image_root: str, needs: tuple[str, ...], segmentation_root: str) -> RegionTable:
    """Reads a COCO, LVIS or COCO panoptic json.

    Args:
        path: json file. An image names its file by ``file_name``, or as in LVIS by the last two parts of ``coco_url``.
        image_root: folder of the image files.
        needs: keys to read of every annotation, of 'bbox', 'category_id', 'segments_info'; none: images only.
        segmentation_root: folder of the panoptic pngs.

    Returns:
        The table; an image without annotation has no rows. Boxes without area inside their image are left out (COCO has
        a few), except those of stuff segments, which are not used; ``left_out`` says how many.

    Raises:
        FileNotFoundError, ValueError: the file is missing or breaks the format; the message names the entry.
    """
    return below(parse_coco(path, needs), image_root, segmentation_root)


def load_crowds(path: str) -> set[tuple[int | str, int]]:
    """The crowds of a COCO panoptic json that `load_coco` accepts: (image id, segment id).

    Args:
        path: json file; it is read in windows, as `parse_coco` reads it.
    """
    def crowds(entries: Iterator[dict]) -> set[tuple[int | str, int]]:
        return {(entry['image_id'], segment['id']) for entry in entries for segment in entry['segments_info']
                if segment.get('iscrowd')}

    return read_members(path, {'annotations': crowds})['annotations']


def parse_coco(path: str, needs: tuple[str, ...]) -> RegionTable:
    """The same with the file names as the json has them, relative.

    The json is read in windows: at the peak memory holds the arrays (of 12 million boxes half a gigabyte), not the
    json's objects.

    Args:
        path: json file.
        needs: keys to read of every annotation.

    Raises:
        FileNotFoundError, ValueError: see `load_coco`.
    """
    readers: dict[str, Callable] = {'images': partial(ImageColumns, path), 'categories': list}
    content = read_members(path, {**readers, 'annotations': partial(RegionColumns, path, needs)} if needs else readers)
    images = content.get('images')
    if not isinstance(images, ImageColumns):
        raise ValueError(_no_list(path, 'images', content))
    if not images.ids:
        raise ValueError(f'{path}: images: found an empty list, expected at least one image')
    place = {img_id: i for i, img_id in enumerate(images.ids)}
    if len(place) != len(images.ids):
        twice = next(img_id for i, img_id in enumerate(images.ids) if place[img_id] != i)
        raise ValueError(f'{path}: images: found the id {twice!r} twice, expected unique ids')
    table = RegionTable(images.ids, images.names, [None] * len(place), images.shapes, np.zeros(len(place) + 1, int))
    if needs:
        _fill(table, content, place, needs, path)
    return table


def below(table: RegionTable, image_root: str, segmentation_root: str) -> RegionTable:
    """The table with its relative file names below their folders.

    Args:
        table: of `parse_coco`.
        image_root: folder of the image files.
        segmentation_root: folder of the panoptic pngs.
    """
    return replace(table, img_paths=[str(Path(image_root, name)) for name in table.img_paths],
                   segmentation_paths=[name and str(Path(segmentation_root, name))
                                       for name in table.segmentation_paths])


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


def _fill(table: RegionTable, content: dict, place: dict, needs: tuple[str, ...], path: str) -> None:
    """Writes the regions, grouped by image in their order of appearance."""
    regions = content.get('annotations')
    if not isinstance(regions, RegionColumns):
        raise ValueError(_no_list(path, 'annotations', content, f' with {list(needs)}'))
    owner = regions.owners.resolve(place, f'{path}: annotations', 'image_id', 'images')
    if regions.segmented:
        for i, name in zip(owner, regions.names):
            table.segmentation_paths[i] = name
        owner = np.repeat(owner, np.asarray(regions.counts))
        table.segment_ids = np.asarray(regions.segment_ids, np.int64)
    table.boxes = np.asarray(regions.boxes, np.float64).reshape(-1, 4)  # (R, 4)
    table.labels = np.broadcast_to(np.int64(0), len(regions))  # one number, however many regions
    if regions.labelled:
        table.classes, table.is_thing, label_of = _categories(content, path)
        table.labels = regions.categories.resolve(label_of, regions.where, 'category_id', 'categories')
    owner = _leave_out_empty(table, owner, regions.where)
    table.first = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=len(table)))])
    if (np.diff(owner) < 0).any():
        _pick(table, np.argsort(owner, kind='stable'))


def _leave_out_empty(table: RegionTable, owner: np.ndarray, where: str) -> np.ndarray:
    """Leaves out boxes without area inside their image, and says so; returns the images (R,) of those that stay."""
    keep = area_inside(table.boxes, table.shapes, owner)
    if len(table.segment_ids):
        keep |= ~table.is_thing[table.labels]  # the box of stuff is the extent of its mask
    if keep.all():
        return owner
    i = int(np.argmin(keep))
    height, width = table.shapes[owner[i]].tolist()
    size = f' of width x height {width} x {height}' if min(height, width) > 0 else ''
    first = f'{where}[{i}].bbox: found {table.boxes[i].tolist()} in image {table.img_ids[owner[i]]!r}{size}'
    expected = 'expected [x, y, width, height] in pixels with an area inside the image'
    if not keep.any():
        raise ValueError(f'{first}, {expected}; none of the {len(keep)} boxes has one')
    table.left_out = f'left out {(~keep).sum()} of {len(keep)} boxes; the first: {first}, {expected}'
    _pick(table, keep)
    return owner[keep]


def _pick(table: RegionTable, rows: np.ndarray) -> None:
    table.boxes = table.boxes[rows]
    table.labels = table.labels[rows]
    table.segment_ids = table.segment_ids[rows] if len(table.segment_ids) else table.segment_ids


def _no_list(path: str, key: str, content: dict, needs: str = '') -> str:
    found = f'{key}: found {short(content[key])}' if key in content else f'found the keys {sorted(content)}'
    return f"{path}: {found}, expected a list '{key}'{needs}; is it COCO-style?"


def _categories(content: dict, path: str) -> tuple[tuple[str, ...], np.ndarray, dict[int, int]]:
    """Names, thing flags and label of each id, in the order of the category ids as class embeddings are."""
    categories, where = content.get('categories'), f'{path}: categories'
    if not isinstance(categories, list) or not categories:
        raise ValueError(_no_list(path, 'categories', content, ' with ids and names'))
    ids, names = column(categories, 'id', where, 0, ID), column(categories, 'name', where, 0, TEXT)
    if len(set(map(type, ids))) > 1:
        raise ValueError(f'{where}: found ids that are numbers and ids that are texts, expected one kind')
    for key, values in (('id', ids), ('name', names)):
        if twice := [value for value, count in Counter(values).items() if count > 1]:
            raise ValueError(f'{where}: found the {key} {twice[0]!r} twice, expected a different {key} for each: of '
                             'two equal classes one can never be right')
    order = sorted(range(len(ids)), key=ids.__getitem__)
    is_thing = np.array(column(categories, 'isthing', where, 0, FLAG, 1), bool)[order]
    return tuple(names[i] for i in order), is_thing, {ids[i]: label for label, i in enumerate(order)}
