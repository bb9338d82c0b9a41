"""COCO-style json files and plain folders to one packed table of images and regions."""
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from .annotation_columns import ImageColumns, RegionColumns, column
from .json_stream import read_members
from .region_table import RegionTable

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.webp', '.bmp')


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
        The table; an image without annotation has no rows.

    Raises:
        FileNotFoundError, ValueError: the file is missing or breaks the format; the message names the entry.
    """
    return below(parse_coco(path, needs), image_root, segmentation_root)


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
    readers = {'images': partial(ImageColumns, path), 'categories': list}
    content = read_members(path, {**readers, 'annotations': partial(RegionColumns, path, needs)} if needs else readers)
    images = content.get('images')
    if not isinstance(images, ImageColumns):
        raise ValueError(f"{path}: found the keys {sorted(content)}, expected a list 'images'; is it COCO-style?")
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
    regions = content.pop('annotations', None)
    if not isinstance(regions, RegionColumns):
        raise ValueError(f"{path}: found the keys {sorted(content)}, expected a list 'annotations' with {list(needs)}")
    owner = regions.owners.resolve(place, f'{path}: annotations', 'image_id', 'images')
    if regions.segmented:
        for i, name in zip(owner, regions.names):
            table.segmentation_paths[i] = name
        owner = np.repeat(owner, np.asarray(regions.counts))
        table.segment_ids = np.asarray(regions.segment_ids, np.int64)
    table.first = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=len(table)))])
    table.boxes = np.asarray(regions.boxes, np.float64).reshape(-1, 4)  # (R, 4)
    table.labels = np.broadcast_to(np.int64(0), len(regions))  # one number, however many regions
    if regions.labelled:
        table.classes, table.is_thing, label_of = _categories(content, path)
        table.labels = regions.categories.resolve(label_of, regions.where, 'category_id', 'categories')
    if (np.diff(owner) < 0).any():
        _sort(table, np.argsort(owner, kind='stable'))


def _sort(table: RegionTable, order: np.ndarray) -> None:
    table.boxes = table.boxes[order]
    table.labels = table.labels[order]
    table.segment_ids = table.segment_ids[order] if len(table.segment_ids) else table.segment_ids


def _categories(content: dict, path: str) -> tuple[tuple[str, ...], np.ndarray, dict[int, int]]:
    """Names, thing flags and label of each id, in the order of the category ids as class embeddings are."""
    categories = content.get('categories')
    if not isinstance(categories, list) or not categories:
        raise ValueError(f"{path}: found the keys {sorted(content)}, expected a list 'categories' with ids and names")
    column(categories, 'id', f'{path}: categories')
    categories = sorted(categories, key=lambda category: category['id'])
    names = tuple(column(categories, 'name', f'{path}: categories'))
    is_thing = np.array([bool(category.get('isthing', 1)) for category in categories])
    return names, is_thing, {category['id']: label for label, category in enumerate(categories)}
