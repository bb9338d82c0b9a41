"""Clusters against classes: Hungarian matching over a whole data set."""
from collections.abc import Sequence
from typing import Any

import torch

from rsc_mm.evaluation import SegmentationMetric
from rsc_mm.evaluation.aggregation import best_assignment
from rsc_mm.registry import METRICS


@METRICS.register_module()
class ClusterMetric(SegmentationMetric):
    r"""Unsupervised segmentation: the metrics of `SegmentationMetric` after the best assignment of clusters to classes.

    One confusion matrix over the data set; each class gets at most one cluster and each cluster at most one class, so
    that the number of matched pixels is greatest (Hungarian matching: STEGO, CAUSE). ``aAcc``, matched pixels of all
    annotated ones, is CAUSE's pAcc and what R-SC's table 5 calls mACC; ``mIoU`` is over classes with a pixel in
    annotation or prediction. Pixels of a cluster without a class are wrong.

    Args:
        num_clusters: K; default: as many as classes.
        field: of the samples, with the clusters.
        **kwargs: see `SegmentationMetric`.

    Raises:
        ValueError: labels or sizes do not fit; the message names the image.
    """

    def __init__(self, num_clusters: int | None = None, field: str = 'pred_sem_seg', **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_clusters = num_clusters
        self.field = field

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Counts the pixels of each pair of cluster and class.

        Args:
            data_batch: not used.
            data_samples: with ``field`` and ``gt_sem_seg``, each with ``data`` (1, H, W), and ``img_path``.
        """
        classes = len(self._classes())
        for sample in data_samples:
            found, true = (read_labels(sample, key) for key in (self.field, 'gt_sem_seg'))
            self.results.append(confusion(found, true, self.num_clusters or classes, classes, self.ignore_index,
                                          source_of(sample)))

    def compute_metrics(self, results: list[torch.Tensor]) -> dict[str, float]:
        """Matches over the whole data set.

        Args:
            results: (K, T) of each image, see `confusion`.
        """
        joint = torch.stack(results).sum(0)
        return super().compute_metrics([matched_counts(joint, match_clusters(joint))])


@METRICS.register_module()
class LinearProbeMetric(SegmentationMetric):
    """`SegmentationMetric` of the linear probe's classes, ``pred_linear``: what labels would give.

    Args:
        **kwargs: see `SegmentationMetric`.
    """

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Counts the pixels of every image.

        Args:
            data_batch: not used.
            data_samples: with ``pred_linear`` and ``gt_sem_seg``.
        """
        super().process(data_batch, [{**sample, 'pred_sem_seg': sample['pred_linear']} for sample in data_samples])


def source_of(sample: dict) -> str:
    """How messages name an image.

    Args:
        sample: with its ``img_path``, or without.
    """
    return f'image {sample.get("img_path", "without a path")}'


def read_labels(sample: dict, field: str) -> torch.Tensor:
    """The labels (H, W) of a sample on the CPU.

    Args:
        sample: data sample.
        field: its field.

    Raises:
        ValueError: it has no such field.
    """
    if field not in sample:
        raise ValueError(f'{source_of(sample)}: found no {field!r}, expected a model that predicts it and a pipeline '
                         'that loads the annotation; pred_crf needs model.crf')
    return sample[field]['data'].squeeze(0).cpu()


def confusion(found: torch.Tensor, true: torch.Tensor, num_clusters: int, num_classes: int, ignore_index: int,
              source: str) -> torch.Tensor:
    """Pixels of each pair of cluster and class.

    Args:
        found: clusters (H, W).
        true: annotated labels (H, W).
        num_clusters: K.
        num_classes: T.
        ignore_index: annotated label of pixels that do not count.
        source: how messages name the image.

    Returns:
        (K, T) int64.

    Raises:
        ValueError: the sizes differ, or a number is out of its range.
    """
    if 0 <= ignore_index < num_classes:
        raise ValueError(f'ClusterMetric.ignore_index: found {ignore_index}, which is one of the {num_classes} '
                         'classes; expected a number outside, here and in rsc_mm.LoadLabelMap')
    if found.shape != true.shape:
        raise ValueError(f"{source}: found clusters of {tuple(found.shape)}, expected the annotation's "
                         f'{tuple(true.shape)}')
    counted = true != ignore_index
    found, true = found[counted].long(), true[counted].long()
    for kind, numbers, size in (('clusters', found, num_clusters), ('annotated labels', true, num_classes)):
        if len(numbers) and not 0 <= int(numbers.min()) <= int(numbers.max()) < size:
            raise ValueError(f'{source}: found {kind} from {int(numbers.min())} to {int(numbers.max())}, expected 0 to '
                             f'{size - 1}')
    pairs = torch.bincount(found * num_classes + true, minlength=num_clusters * num_classes)
    return pairs.view(num_clusters, num_classes)  # (K, T)


def match_clusters(joint: torch.Tensor) -> torch.Tensor:
    """The class of each cluster (K,), so that the sum of matched pixels is greatest; -1 without one.

    Args:
        joint: (K, T), see `confusion`.

    Raises:
        ImportError: SciPy is not installed; the message names the extra.
    """
    rows, columns = best_assignment(joint.double())
    return torch.full((len(joint), ), -1).index_put((rows, ), columns)


def matched_counts(joint: torch.Tensor, assigned: torch.Tensor) -> torch.Tensor:
    """Right, predicted and annotated pixels (3, T) of each class, as `rsc_mm.evaluation.segmentation` counts them.

    Args:
        joint: (K, T), see `confusion`.
        assigned: class of each cluster (K,), -1 without one.
    """
    counts = torch.stack([torch.zeros_like(joint[0]), torch.zeros_like(joint[0]), joint.sum(0)])
    for cluster, label in enumerate(assigned.tolist()):
        if label >= 0:
            counts[0, label], counts[1, label] = joint[cluster, label], joint[cluster].sum()
    return counts
