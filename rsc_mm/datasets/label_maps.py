"""Semantic label maps on disk: 8 bit for up to 255 classes, 16 bit for more, without loss."""
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from rsc_mm.utils.files import replacing

from .image_io import BadImageError

IGNORE = 65535
"""Pixels without a class, in memory and in 16-bit files; 8-bit files hold 255."""
_DTYPES = {'L': np.uint8, 'P': np.uint8, 'I;16': np.uint16, 'I': np.uint16, 'I;16B': np.uint16}


def read_label_map(path: str | Path) -> np.ndarray:
    """The label of every pixel.

    Args:
        path: png or tif with one channel of 8 or 16 bits, or with a palette, whose numbers are the labels (VOC).

    Returns:
        (H, W) int32; `IGNORE` where the file holds the greatest number of its kind, 255 or 65535.

    Raises:
        BadImageError: the file is missing or broken, or an image of colours or floats.
    """
    try:
        with Image.open(path) as image:
            mode, pixels = image.mode, np.array(image)
    except (OSError, SyntaxError, ValueError) as error:
        reason = getattr(error, 'strerror', None) or error
        raise BadImageError(f'{path}: found {reason}, expected a complete label map') from None
    if mode not in _DTYPES:
        raise BadImageError(f'{path}: found an image of mode {mode!r}, expected a label map: one channel of 8 or 16 '
                            'bits, or a palette; panoptic pngs are read by tools/data/panoptic_to_semantic.py')
    labels = pixels.astype(np.int32)
    labels[labels == np.iinfo(_DTYPES[mode]).max] = IGNORE
    return labels


def write_label_map(path: str | Path, labels: np.ndarray, num_classes: int) -> None:
    """Writes a png that `read_label_map` reads, complete or not at all.

    Args:
        path: the file.
        labels: (H, W), 0..num_classes - 1 or `IGNORE`.
        num_classes: up to 255 are written in 8 bits.

    Raises:
        ValueError: a label is not in that range, or there are too many classes.
    """
    path, labels = Path(path), np.asarray(labels)
    if not 0 < num_classes <= IGNORE:
        raise ValueError(f'{path}: found {num_classes} classes, expected 1 to {IGNORE}')
    ignored = labels == IGNORE
    wrong = np.unique(labels[~ignored & ((labels < 0) | (labels >= num_classes))])
    if len(wrong):
        raise ValueError(f'{path}: found the labels {wrong[:5].tolist()}, expected 0 to {num_classes - 1} or {IGNORE}')
    dtype = np.uint8 if num_classes <= 255 else np.uint16
    pixels = np.where(ignored, np.iinfo(dtype).max, labels).astype(dtype)
    with replacing(path) as beside:
        Image.fromarray(pixels).save(beside, format='png')


def renumber(labels: np.ndarray, table: dict[int, int]) -> np.ndarray:
    """Labels of another list of classes.

    Args:
        labels: (H, W), not negative.
        table: new label of every old one; what it does not name becomes `IGNORE`.

    Returns:
        (H, W) int32.
    """
    lookup = np.full(max(int(labels.max(initial=0)), *table, 0) + 1, IGNORE, np.int32)
    lookup[list(table)] = list(table.values())
    return lookup[labels]


def panoptic_to_semantic(segments: np.ndarray, ids: Sequence[int], labels: Sequence[int], source: str) -> np.ndarray:
    """A panoptic map as a semantic one.

    Args:
        segments: segment id of every pixel (H, W); 0 is unlabelled.
        ids: of the image's segments.
        labels: their classes, in the same order.
        source: how messages name the image.

    Returns:
        (H, W) int32, `IGNORE` where unlabelled.

    Raises:
        ValueError: a pixel has an id that is not listed.
    """
    found, place = np.unique(segments, return_inverse=True)
    unknown = np.setdiff1d(found, np.append(np.asarray(ids, np.int64), 0))
    if len(unknown):
        raise ValueError(f'{source}: found the segment ids {unknown[:5].tolist()}, expected those of its '
                         f"'segments_info' ({len(ids)} ids) or 0")
    label_of = dict(zip(map(int, ids), map(int, labels)))
    return np.array([label_of.get(i, IGNORE) for i in found.tolist()], np.int32)[place].reshape(segments.shape)
