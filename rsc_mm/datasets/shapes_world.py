"""The generated worlds as data sets: scenes written in COCO format, the same for every run of a seed."""
import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from multiprocessing import Pool
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.random import Generator
from pycocotools import mask as rle

from rsc_mm.utils.regions import file_boxes

from .shapes import NOVEL_SHAPES, SHAPES, TEXTURES
from .shapes_scene import Scene, describe, draw_scene
from .worlds import World

SPLITS = ('train', 'val', 'dev')
ID_STEP = 1_000_000
"""Image ids of the splits start at 1, 1,000,001 and 2,000,001."""


def describe_twice(scene: Scene) -> list[str]:
    """A caption with and one without colours."""
    return [describe(scene, coloured=True), describe(scene, coloured=False)]


SHAPES_WORLD = World('Shapes', 1, SHAPES, TEXTURES, NOVEL_SHAPES, draw_scene, describe_twice)
THING_CATEGORIES = SHAPES_WORLD.thing_categories


@dataclass
class ImageEntry:
    """What the json files hold of one image: its entry, panoptic segments, instances, captions and proposals."""

    image: dict
    segments: list[dict]
    instances: list[dict]
    captions: list[str]
    proposals: list[list[float]]


def write_shapes(out: Path | str, counts: dict[str, int] | None = None, seed: int = 0, processes: int = 2,
                 report: Callable[[str], None] = print, world: World = SHAPES_WORLD) -> bool:
    """Writes a generated world, unless the folder holds it already.

    Everything is written to ``OUT.partial`` and renamed at the end, so an interrupted run leaves no half of a data
    set; the next run starts anew. Image i of a split depends on (seed, split, i) alone.

    Args:
        out: Folder to make: ``{train,val,dev}/*.jpg``, ``panoptic_SPLIT/*.png`` and in ``annotations/``
            ``instances_SPLIT.json``, ``instances_train_base.json``, ``panoptic_SPLIT.json``, ``captions_SPLIT.json``
            and ``proposals_train.json``.
        counts: Number of images of every split; None: the world's own.
        seed: Seed of the world.
        processes: Number of drawing processes; the result does not depend on it.
        report: Receives a line of progress.
        world: What is drawn.

    Returns:
        True if it was written, False if it was there.

    Raises:
        FileExistsError: The folder holds something else, or the world of another seed, version or size.
        OSError: It could not be written; what was written is removed.
        ValueError: A number is out of its range.
    """
    out, counts = Path(out), dict(world.splits if counts is None else counts)
    for name, number, least in [*((split, images, 0) for split, images in counts.items()), ('seed', seed, 0),
                                ('processes', processes, 1)]:
        if number < least:
            raise ValueError(f'{name}: found {number}, expected at least {least} (make_shapes.py: --{name})')
    signature = dict(version=world.version, seed=seed, counts=counts)
    if _is_complete(out, signature, world):
        report(f'{out}: complete (seed {seed}, {sum(counts.values())} images), nothing to do')
        return False
    partial = out.with_name(out.name + '.partial')
    if partial.exists():
        report(f'{partial}: left by an interrupted run, removed')
        shutil.rmtree(partial)
    try:
        _write_world(partial, world, signature, processes, report)
        if out.is_dir():
            out.rmdir()  # empty, checked above
        partial.rename(out)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise OSError(error.errno, f'{out}: could not be written: found "{error.strerror}", expected a folder that may '
                      'be written to, with room for the images; nothing was left') from error
    return True


def _write_world(root: Path, world: World, signature: dict, processes: int, report: Callable[[str], None]) -> None:
    (root / 'annotations').mkdir(parents=True)
    for split, number in signature['counts'].items():
        jobs = [(root, world, split, i, signature['seed']) for i in range(number)]
        entries = _write_images(root, split, jobs, processes, report)
        _write_annotations(root / 'annotations', world, split, entries)
    _write_json(root / _marker(world), signature)


def _marker(world: World) -> str:
    return f'{world.name.lower()}.json'


def _is_complete(out: Path, signature: dict, world: World) -> bool:
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    marker = out / _marker(world)
    found = json.loads(marker.read_text()) if marker.is_file() else f'no {world.name} data set'
    if found != signature:
        raise FileExistsError(f'{out}: found {found}, expected {signature} or no folder; delete the folder or write to '
                              'another one (--out)')
    return True


def _write_images(root: Path, split: str, jobs: list[tuple], processes: int,
                  report: Callable[[str], None]) -> list[ImageEntry]:
    for folder in (split, f'panoptic_{split}'):
        (root / folder).mkdir()
    entries, start, number = [], time.time(), len(jobs)
    with Pool(processes) as pool:
        for entry in pool.imap(_write_one, jobs, chunksize=8):
            entries.append(entry)
            if len(entries) % max(1, number // 5) == 0:
                left = (time.time() - start) / len(entries) * (number - len(entries))
                report(f'{split}: {len(entries)}/{number} images, {left:.0f} s left')
    return entries


def _write_one(job: tuple[Path, World, str, int, int]) -> ImageEntry:
    """Draws and writes one image; everything about it follows from (seed, split, index)."""
    cv2.setNumThreads(1)
    root, world, split, index, seed = job
    place = SPLITS.index(split)
    rng = np.random.default_rng((seed, place, index))
    scene = world.draw_scene(rng)
    height, width = scene.image.shape[:2]
    image = dict(id=place * ID_STEP + index + 1, file_name=f'{index + 1:06d}.jpg', height=height, width=width)
    _write_image(root / split / image['file_name'], scene.image, [cv2.IMWRITE_JPEG_QUALITY, 95])
    segments, instances = _segments(scene, world, root / f'panoptic_{split}' / f'{index + 1:06d}.png')
    proposals = draw_proposals(scene, rng, world.jitter, world.boxes_of_a_thing, world.random_boxes)
    return ImageEntry(image, segments, instances, world.describe(scene), proposals)


def _segments(scene: Scene, world: World, path: Path) -> tuple[list[dict], list[dict]]:
    """Writes the panoptic png and returns its segments and the things among them as COCO instances."""
    named = [(thing.shape, thing.mask) for thing in scene.things] + list(scene.stuff.items())
    ids = np.zeros(scene.image.shape[:2], np.int32)
    segments, instances = [], []
    for number, (name, mask) in enumerate(named, 1):
        category = world.classes.index(name) + 1
        segment = dict(id=category * 3000 + number, category_id=category, bbox=mask_box(mask), area=int(mask.sum()),
                       iscrowd=0)
        ids[mask] = category * 3000 + number
        segments.append(segment)
        if name in world.things:
            encoded = rle.encode(np.asfortranarray(mask.astype(np.uint8)))
            encoded['counts'] = encoded['counts'].decode()
            instances.append(dict(segment, segmentation=encoded))
    # Panoptic pngs hold R + 256 G + 256^2 B.
    _write_image(path, np.stack([ids & 255, ids >> 8 & 255, ids >> 16], axis=2).astype(np.uint8))
    return segments, instances


def _write_image(path: Path, image: np.ndarray, options: Sequence[int] = ()) -> None:
    """Writes RGB pixels (H, W, 3); not by cv2.imwrite, which says nothing of a full disk."""
    _, data = cv2.imencode(path.suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    path.write_bytes(data)


def mask_box(mask: np.ndarray) -> list[int]:
    """The extent [x, y, width, height] of a mask (H, W) in pixels."""
    ys, xs = np.nonzero(mask)
    return [int(xs.min()), int(ys.min()), int(np.ptp(xs)) + 1, int(np.ptp(ys)) + 1]


def draw_proposals(scene: Scene, rng: Generator, jitter: float = 0.1, boxes: int = 2,
                   random_boxes: int = 8) -> list[list[float]]:
    """Class-agnostic boxes as a proposal network gives them: some near every thing, and some anywhere.

    Args:
        scene: The scene.
        rng: Source of jitter and random boxes.
        jitter: Standard deviation of a side's shift, relative to the box.
        boxes: Number of boxes near every thing.
        random_boxes: Number of boxes drawn anywhere, sides 16 px to the image's.

    Returns:
        Boxes [x, y, width, height] in pixels, inside the image.
    """
    height, width = scene.image.shape[:2]
    drawn = []
    for thing in scene.things:
        left, top, wide, high = mask_box(thing.mask)
        for shift in rng.normal(0, jitter, (boxes, 4)).clip(-0.3, 0.3):
            drawn.append(np.array([left, top, left + wide, top + high]) + shift * [wide, high, wide, high])
    for _ in range(random_boxes):
        w, h = rng.uniform(16, width), rng.uniform(16, height)
        x, y = rng.uniform(0, width - w), rng.uniform(0, height - h)
        drawn.append(np.array([x, y, x + w, y + h]))
    inside = torch.from_numpy(np.clip(drawn, 0, [width, height, width, height]))
    return np.round(file_boxes(inside).numpy(), 2).tolist()


def _write_annotations(folder: Path, world: World, split: str, entries: list[ImageEntry]) -> None:
    images = [entry.image for entry in entries]
    instances = _numbered(entries, lambda entry: entry.instances)
    things = dict(images=images, annotations=instances, categories=world.thing_categories)
    _write_json(folder / f'instances_{split}.json', things)
    panoptic = [dict(image_id=entry.image['id'], file_name=Path(entry.image['file_name']).stem + '.png',
                     segments_info=entry.segments) for entry in entries]
    _write_json(folder / f'panoptic_{split}.json',
                dict(images=images, annotations=panoptic, categories=world.categories))
    captions = _numbered(entries, lambda entry: [dict(caption=caption) for caption in entry.captions])
    _write_json(folder / f'captions_{split}.json', dict(images=images, annotations=captions))
    if split == 'train':
        base = {category['id'] for category in world.thing_categories if category['split'] == 'base'}
        seen = [annotation for annotation in instances if annotation['category_id'] in base]
        _write_json(folder / 'instances_train_base.json', dict(things, annotations=seen))
        boxes = _numbered(entries, lambda entry: [
            dict(bbox=box, area=box[2] * box[3], category_id=1, iscrowd=0) for box in entry.proposals])
        categories = [dict(id=1, name='object', supercategory='object')]
        _write_json(folder / 'proposals_train.json', dict(images=images, annotations=boxes, categories=categories))


def _numbered(entries: list[ImageEntry], rows: Callable[[ImageEntry], list[dict]]) -> list[dict]:
    """The rows of all images with ``image_id`` and a running ``id`` from 1."""
    ids = count(1)
    return [dict(row, id=next(ids), image_id=entry.image['id']) for entry in entries for row in rows(entry)]


def _write_json(path: Path, content: dict) -> None:
    path.write_text(json.dumps(content))
