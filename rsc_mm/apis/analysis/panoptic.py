"""Panoptic predictions of any model, named anew by a dense CLIP (CLIPSelf, table 5: 'CLIP only')."""
from pathlib import Path

import numpy as np
from tqdm import tqdm

from rsc_mm.datasets.annotations import load_coco, load_crowds
from rsc_mm.datasets.image_io import read_segments
from rsc_mm.datasets.region_table import RegionTable
from rsc_mm.evaluation.panoptic_quality import INSTANCE_OFFSET, match_segments, mean_qualities

from ..dense_clip import DenseCLIP

FIELDS = ('bbox', 'category_id', 'segments_info')


def panoptic_by_clip(model: DenseCLIP, truth: RegionTable, crowds: set, found: RegionTable,
                     names: list[str]) -> dict[str, tuple[float, float, float]]:
    """Panoptic quality of predicted segments with their own classes, and with those that a dense CLIP gives them.

    The masks stay as they are, so the second row measures the tower alone: with annotated masks as prediction it is
    region classification by another metric. A mask without a token keeps its class.

    Args:
        model: the tower.
        truth: annotated segments; its classes number the labels.
        crowds: (image id, segment id) of the annotated crowds.
        found: predicted segments of the same classes.
        names: what the T classes are called, 'dog; puppy' being one with two names.

    Returns:
        PQ, SQ and RQ in percent by 'own classes' and 'CLIP'.

    Raises:
        ValueError: an image has no prediction, or the classes differ.
    """
    if found.classes != truth.classes:
        raise ValueError(f'predictions: found {len(found.classes)} categories, expected the {len(truth.classes)} of '
                         'the annotation, with the same ids and names')
    place = {img_id: i for i, img_id in enumerate(found.img_ids)}
    counts = {kind: np.zeros((4, len(names))) for kind in ('own classes', 'CLIP')}
    for record in tqdm([truth.record(i) for i in range(len(truth))], disable=None):
        own = found.record(place[record.img_id]) if record.img_id in place else None
        if own is None or own.segmentation_path is None:
            raise ValueError(f'predictions: found none for image {record.img_id!r}, expected one for every image')
        true = read_segments(record.segmentation_path, record.shape).numpy()
        segments = [(int(number), int(label), (record.img_id, number) in crowds)
                    for number, label in zip(record.segment_ids.tolist(), record.labels.tolist())]
        pixels = read_segments(own.segmentation_path, record.shape).numpy()
        masks = np.stack([pixels == number for number in own.segment_ids]) if len(own.segment_ids) \
            else np.zeros((0, *pixels.shape), bool)
        masks, own_labels = masks[masks.any((1, 2))], own.labels[masks.any((1, 2))]
        labels = model.classify_regions(record.img_path, masks, names).labels if len(masks) else own_labels
        for kind, chosen in (('own classes', own_labels), ('CLIP', np.where(labels < 0, own_labels, labels))):
            painted = _paint(masks, chosen, truth.is_thing)
            counts[kind] += match_segments(painted, true, segments, len(names))
    return {kind: mean_qualities(count) for kind, count in counts.items()}


def read_panoptic(path: str | Path, folder: str | Path, images: str | Path = '') -> tuple[RegionTable, set]:
    """A COCO panoptic json and its crowds.

    Args:
        path: the json.
        folder: of its pngs.
        images: folder of the images.

    Returns:
        The table, and (image id, segment id) of the crowds.

    Raises:
        FileNotFoundError, ValueError: the file is missing or breaks the format; the message names the entry.
    """
    return load_coco(str(path), str(images), FIELDS, str(folder)), load_crowds(str(path))


def _paint(masks: np.ndarray, labels: np.ndarray, is_thing: np.ndarray) -> np.ndarray:
    """Segments as class + 1000 x instance; stuff of one class is one segment."""
    painted = np.full(masks.shape[1:], len(is_thing), np.int64)
    for number, (mask, label) in enumerate(zip(masks, labels), 1):
        painted[mask] = label + (INSTANCE_OFFSET * number if is_thing[label] else 0)
    return painted
