"""Panoptic quality, counted in whole numbers."""
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from rsc_mm.datasets.image_io import read_segments
from rsc_mm.registry import METRICS
from rsc_mm.utils.tables import markdown_table

INSTANCE_OFFSET = 1000
"""A predicted pixel is class + 1000 x instance, as mmdet writes it."""


@METRICS.register_module()
class PanopticQuality(BaseMetric):
    r"""Panoptic quality of things, stuff and all (Kirillov et al., CVPR 2019, sec. 4), in percent.

    .. math:: PQ_c = \frac{\sum_{(p, g) \in TP_c} \mathrm{IoU}(p, g)}{|TP_c| + |FP_c|/2 + |FN_c|/2} = SQ_c\, RQ_c

    A predicted and an annotated segment of a class match where their IoU exceeds 1/2, which at most one can. As in the
    official code unannotated pixels do not count in the union, a crowd is never missed, and a prediction that
    matches nothing is not wrong where more than half of it lies on unannotated pixels or crowds of its class. Means run
    over the classes that are annotated or predicted.

    Args:
        groups: name -> classes whose means are reported too, such as trained and held-out: ``PQ_NAME``.
        per_class: logs a table of all classes.
        collect_device: see MMEngine's ``BaseMetric``.
        prefix: put before the names with a slash.

    Returns (`evaluate`):
        ``PQ``, ``SQ``, ``RQ``, ``PQ_things``, ``PQ_stuff``, and those of the groups.

    Raises:
        ValueError: sizes, labels or groups do not fit the data set.
    """

    default_prefix = 'panoptic'

    def __init__(self, groups: Mapping[str, Sequence[str]] | None = None, per_class: bool = True,
                 collect_device: str = 'cpu', prefix: str | None = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.groups = dict(groups or {})
        self.per_class = per_class

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Matches the segments of every image.

        Args:
            data_batch: not used.
            data_samples: with ``pred_panoptic_seg.sem_seg`` (1, H, W) in original pixels, ``seg_map_path`` and
                ``segments`` of `PanopticSegmentDataset`.
        """
        number = len(self.dataset_meta['classes'])
        for sample in data_samples:
            found = sample['pred_panoptic_seg']['sem_seg'][0].cpu().numpy()
            true = read_segments(sample['seg_map_path'], found.shape).numpy()
            self.results.append(match_segments(found, true, sample['segments'], number))

    def compute_metrics(self, results: list[np.ndarray]) -> dict[str, float]:
        """Means over the whole data set.

        Args:
            results: (4, T) of each image, see `match_segments`.
        """
        classes, things = list(self.dataset_meta['classes']), self.dataset_meta['num_things']
        counts = np.sum(results, axis=0)
        if self.per_class:
            table = [[name, *(f'{value:.1f}' for value in values)] for name, values in
                     zip(classes, 100 * np.stack(class_qualities(counts), 1))]
            print_log('\n' + markdown_table(['class', 'PQ', 'SQ', 'RQ'], table), 'current')
        metrics = dict(zip(('PQ', 'SQ', 'RQ'), mean_qualities(counts)))
        groups = {'things': classes[:things], 'stuff': classes[things:], **self.groups}
        for name, members in groups.items():
            rows = [classes.index(member) for member in members if member in classes]
            if len(rows) < len(members):
                raise ValueError(f'PanopticQuality.groups[{name!r}]: found {sorted(set(members) - set(classes))}, '
                                 f"expected names of the data set's {len(classes)} classes")
            metrics[f'PQ_{name}'] = mean_qualities(counts[:, rows])[0]
        return metrics


def match_segments(found: np.ndarray, true: np.ndarray, segments: Sequence[tuple[int, int, bool]],
                   num_classes: int) -> np.ndarray:
    """Matches the predicted segments of one image with the annotated ones.

    Args:
        found: (H, W) class + 1000 x instance; classes from ``num_classes`` on are no segment.
        true: (H, W) segment ids.
        segments: (id, label, is crowd) of the annotated segments; pixels of no listed id are unannotated.
        num_classes: T.

    Returns:
        (4, T) float64: sum of IoUs, and numbers of matched, wrong and missed segments.

    Raises:
        ValueError: the sizes differ, or a label is no class.
    """
    if found.shape != true.shape:
        raise ValueError(f'panoptic segments: found a prediction of {found.shape}, expected the '
                         f'annotation of {true.shape}')
    wrong = [segment for segment in segments if not 0 <= segment[1] < num_classes]
    if wrong:
        raise ValueError(f'panoptic segments: found the label {wrong[0][1]}, expected 0 to {num_classes - 1}')
    labels = {number: label for number, label, _ in segments}
    crowds = {number for number, _, crowd in segments if crowd}
    overlap = _overlaps(found, np.where(np.isin(true, list(labels)), true, -1))
    found_area, true_area = _areas(overlap, 0), _areas(overlap, 1)
    predicted = {p for p in found_area if p % INSTANCE_OFFSET < num_classes}
    counts, matched_found, matched_true = np.zeros((4, num_classes)), set(), set()
    for (p, g), shared in overlap.items():
        if p not in predicted or g == -1 or g in crowds or p % INSTANCE_OFFSET != labels[g]:
            continue
        iou = shared / (found_area[p] + true_area[g] - shared - overlap.get((p, -1), 0))
        if iou > 0.5:
            counts[:2, labels[g]] += iou, 1
            matched_found.add(p)
            matched_true.add(g)
    for p in predicted - matched_found:
        label = p % INSTANCE_OFFSET
        excused = sum(overlap.get((p, g), 0) for g in (-1, *(g for g in crowds if labels[g] == label)))
        counts[2, label] += excused <= found_area[p] / 2
    for g in set(true_area) - matched_true - crowds - {-1}:
        counts[3, labels[g]] += 1
    return counts


def class_qualities(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """PQ, SQ and RQ (T,) of each class, 0..1; nan for PQ and RQ where nothing is annotated or predicted.

    Args:
        counts: (4, T), see `match_segments`.
    """
    total, matched, wrong, missed = counts
    with np.errstate(invalid='ignore'):
        recognition = matched / (matched + wrong / 2 + missed / 2)
    segmentation = total / np.maximum(matched, 1)
    return segmentation * recognition, segmentation, recognition


def mean_qualities(counts: np.ndarray) -> tuple[float, float, float]:
    """PQ, SQ and RQ in percent, means over the classes that are annotated or predicted; nan if there is none.

    Args:
        counts: (4, T), see `match_segments`.
    """
    present = counts[1:].sum(0) > 0
    if not present.any():
        return float('nan'), float('nan'), float('nan')
    quality, segmentation, recognition = (100 * values[present].mean() for values in class_qualities(counts))
    return float(quality), float(segmentation), float(recognition)


def _overlaps(found: np.ndarray, true: np.ndarray) -> dict[tuple[int, int], int]:
    """Pixels of every pair of a predicted and an annotated id that share some."""
    pairs, pixels = np.unique(np.stack([found.ravel(), true.ravel()]).astype(np.int64), axis=1, return_counts=True)
    return {(p, g): n for p, g, n in zip(*pairs.tolist(), pixels.tolist())}


def _areas(overlap: dict[tuple[int, int], int], side: int) -> dict[int, int]:
    areas: dict[int, int] = {}
    for pair, pixels in overlap.items():
        areas[pair[side]] = areas.get(pair[side], 0) + pixels
    return areas
