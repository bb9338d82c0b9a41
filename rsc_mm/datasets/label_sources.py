"""Label maps of the benchmarks from their official releases."""
import json
from collections.abc import Callable, Iterable, Sequence
from multiprocessing import Pool
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from tqdm import tqdm

from .image_io import BadImageError
from .label_maps import IGNORE

# COCO-Stuff numbers 182 classes from 1; these 11 things were never annotated. Its pngs hold the number minus 1.
UNUSED_COCO_IDS = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83, 91)
COCO_STUFF_IDS = tuple(number for number in range(1, 183) if number not in UNUSED_COCO_IDS)
NUM_THINGS = 80
ADE_SHORT_SIDE = 512


def coco_stuff_labels(pixels: np.ndarray, source: str) -> tuple[np.ndarray, np.ndarray]:
    """Labels of COCO-Stuff (171 classes) and of COCO-Object (81) from a png of stuffthingmaps.

    Args:
        pixels: (H, W), as `read_label_map` reads the official file.
        source: how messages name it.

    Returns:
        Labels 0..170 and `IGNORE` where unlabelled; labels 0..80 with 0 for all that is no thing. Both (H, W) int32.

    Raises:
        ValueError: a number that COCO-Stuff does not use.
    """
    table = {number - 1: label for label, number in enumerate(COCO_STUFF_IDS)}
    unknown = np.setdiff1d(np.unique(pixels), [*table, IGNORE])
    if len(unknown):
        raise ValueError(f'{source}: found the numbers {unknown[:5].tolist()}, expected those of COCO-Stuff (0 to '
                         '181 without 11, and 255); is it a file of stuffthingmaps_trainval2017?')
    lookup = np.full(IGNORE + 1, IGNORE, np.int32)
    lookup[list(table)] = list(table.values())
    stuff = lookup[pixels]
    return stuff, np.where(stuff < NUM_THINGS, stuff + 1, 0).astype(np.int32)


def pascal_context_labels(label_map: np.ndarray, names459: Sequence[str],
                          names59: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Labels of Pascal Context with 459 classes and with 59 and background.

    Args:
        label_map: 'LabelMap' of a .mat file of the official trainval.tar.gz (H, W), 1..459 in the order of its
            labels.txt; 0 is unlabelled.
        names459: its classes.
        names59: the frequent ones, under the same names except that 'diningtable' is 'table'.

    Returns:
        Labels 0..458 and `IGNORE`; labels 1..59 with 0 for everything else, as mmseg's files. Both (H, W) int32.

    Raises:
        ValueError: a number above 459.
    """
    numbers = np.asarray(label_map).astype(np.int32)
    if numbers.min(initial=0) < 0 or numbers.max(initial=0) > len(names459):
        raise ValueError(f"'LabelMap': found numbers from {numbers.min()} to {numbers.max()}, expected 0 to "
                         f'{len(names459)}')
    frequent = np.zeros(len(names459) + 1, np.int32)
    for label, name in enumerate(names59, 1):
        frequent[names459.index({'diningtable': 'table'}.get(name, name)) + 1] = label
    return np.where(numbers == 0, IGNORE, numbers - 1).astype(np.int32), frequent[numbers]


def ade_labels(colours: np.ndarray, objects: Sequence[dict], label_of: dict[str, int]) -> tuple[np.ndarray, set[int]]:
    """Labels of ADE20K's full release.

    Args:
        colours: a *_seg.png (H, W, 3): an object's number is 256 * (R // 10) + G, 0 is unlabelled.
        objects: ``annotation.object`` of the json beside it, with ``name_ndx`` (the number) and ``name``.
        label_of: label of each class's name.

    Returns:
        (H, W) int32, `IGNORE` for other names and unlabelled pixels; the numbers without a name in the json.
    """
    numbers = colours[..., 0].astype(np.int32) // 10 * 256 + colours[..., 1]
    names = {int(entry['name_ndx']): entry['name'] for entry in objects}
    found, place = np.unique(numbers, return_inverse=True)
    labels = [label_of.get(names.get(number, ''), IGNORE) for number in found.tolist()]
    return np.array(labels, np.int32)[place].reshape(numbers.shape), set(found.tolist()) - {0} - names.keys()


def ade_sized(image: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Image and labels with a short side of at most 512 px: how A-847 is evaluated (MaskFormer's preparation).

    Args:
        image: (H, W, 3) uint8.
        labels: (H, W) int32.

    Returns:
        Both resized, bilinear and nearest, or as they are.
    """
    height, width = labels.shape
    if min(height, width) <= ADE_SHORT_SIDE:
        return image, labels
    size = [round(side / min(height, width) * ADE_SHORT_SIDE) for side in (width, height)]
    return (cv2.resize(image, size, interpolation=cv2.INTER_LINEAR),
            cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST))


def read_ade_objects(path: Path) -> list[dict]:
    """``annotation.object`` of a json of ADE20K's full release.

    Raises:
        ValueError: the file is missing or not of that form.
    """
    try:
        objects = json.loads(path.read_bytes().decode('latin-1'))['annotation']['object']
        return [dict(name_ndx=entry['name_ndx'], name=entry['name']) for entry in objects]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: found {type(error).__name__} {error}, expected a json of ADE20K's full release "
                         "(2021_17_01): 'annotation.object' with 'name_ndx' and 'name'") from None


def read_pixels(path: Path) -> np.ndarray:
    """An RGB image as it is stored (H, W, 3) uint8.

    Raises:
        BadImageError: the file is missing or broken.
    """
    try:
        with Image.open(path) as image:
            return np.array(image.convert('RGB'))
    except (OSError, SyntaxError, ValueError) as error:
        raise BadImageError(f'{path}: found {error}, expected a complete image file') from None


def run_all(function: Callable, jobs: Iterable, processes: int) -> list:
    """The function's results of all jobs, in order, with a progress bar on a terminal.

    Args:
        function: of a module, so that other processes find it.
        jobs: its arguments, one each.
        processes: number of processes; 1: this one.
    """
    jobs = list(jobs)
    if processes == 1:
        return [function(job) for job in tqdm(jobs, disable=None)]
    with Pool(processes) as pool:
        return list(tqdm(pool.imap(function, jobs, chunksize=8), total=len(jobs), disable=None))
