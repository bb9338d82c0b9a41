"""Semantic segmentation: IoU and accuracy of classes, in the conventions of detectron2 and of mmseg."""
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from rsc_mm.registry import METRICS


@METRICS.register_module()
class SegmentationMetric(BaseMetric):
    r"""Mean IoU and mean accuracy over classes, in percent, in both conventions.

    .. math:: \text{IoU}_c = \frac{h_c}{g_c + p_c - h_c}, \quad \text{Acc}_c = \frac{h_c}{g_c}

    with pixels of class c in the annotation :math:`g_c`, in the prediction :math:`p_c` and in both :math:`h_c`.

    ================ =================================================================== ====================
    name             mean over the classes                                               as in
    ================ =================================================================== ====================
    mIoU             annotated or predicted; a class predicted but never annotated is 0  mmseg, detectron2 0.6
    mIoU_present     annotated                                                           detectron2 today
    mAcc             annotated (without annotation it is 0/0)                            mmseg
    mAcc_present     the same: here the conventions agree                                detectron2
    aAcc             no mean: share of all pixels                                        mmseg
    ================ =================================================================== ====================

    With many classes the two differ much: 14.65 and 19.0 on PC-459 for the same predictions of CAT-Seg. Pixels are
    counted in whole numbers; mmseg adds up float32, which loses pixels beyond 16 million a class.

    Args:
        ignore_index: label of pixels that do not count; not 255 where there are more classes, since that is one.
        groups: name -> classes whose means are reported too, such as trained and held-out: ``mIoU_NAME``,
            ``mIoU_present_NAME`` and ``mAcc_NAME``.
        per_class: logs a table of all classes.
        collect_device: see MMEngine's ``BaseMetric``.
        prefix: put before the names with a slash.

    Raises:
        ValueError: labels, sizes or groups do not fit the data set's classes.
    """

    def __init__(self, ignore_index: int = 255, groups: Mapping[str, Sequence[str]] | None = None,
                 per_class: bool = True, collect_device: str = 'cpu', prefix: str | None = None) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.ignore_index = ignore_index
        self.groups = dict(groups or {})
        self.per_class = per_class

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Counts the pixels of every image.

        Args:
            data_batch: not used.
            data_samples: with ``pred_sem_seg`` and ``gt_sem_seg``, each with ``data`` (1, H, W), and ``img_path``.
        """
        for sample in data_samples:
            source = f'image {sample.get("img_path", "without a path")}'
            if 'gt_sem_seg' not in sample:
                raise ValueError(f"{source}: found no 'gt_sem_seg'; expected a pipeline that loads the annotation "
                                 "(LoadAnnotations or rsc_mm.LoadLabelMap)")
            found, true = (sample[key]['data'].squeeze(0) for key in ('pred_sem_seg', 'gt_sem_seg'))
            self.results.append(count_pixels(found, true.to(found.device), len(self._classes()), self.ignore_index,
                                             source))

    def compute_metrics(self, results: list[torch.Tensor]) -> dict[str, float]:
        """Means over the whole data set.

        Args:
            results: (3, T) of each image, see `count_pixels`.
        """
        classes, counts = self._classes(), torch.stack(results).sum(0)
        if self.per_class:
            print_log('\n' + class_table(counts, classes), 'current')
        metrics = mean_iou(counts)
        for name, members in self.groups.items():
            rows = [classes.index(member) for member in members if member in classes]
            if len(rows) < len(members) or not rows:
                raise ValueError(f"SegmentationMetric.groups[{name!r}]: found {sorted(set(members) - set(classes))}, "
                                 f"expected names of the data set's {len(classes)} classes")
            means = mean_iou(counts[:, rows])
            metrics.update({f'{key}_{name}': means[key] for key in ('mIoU', 'mIoU_present', 'mAcc')})
        return metrics

    def _classes(self) -> tuple[str, ...]:
        return tuple(self.dataset_meta['classes'])


def count_pixels(found: torch.Tensor, true: torch.Tensor, num_classes: int, ignore_index: int,
                 source: str) -> torch.Tensor:
    """Pixels of each class that are right, predicted and annotated.

    Args:
        found: predicted labels (H, W).
        true: annotated labels (H, W).
        num_classes: T.
        ignore_index: annotated label of pixels that do not count.
        source: how messages name the image.

    Returns:
        (3, T) int64 on the CPU: :math:`h, p, g`.

    Raises:
        ValueError: the sizes differ, or a label is neither a class nor ignored.
    """
    if 0 <= ignore_index < num_classes:
        raise ValueError(f'SegmentationMetric.ignore_index: found {ignore_index}, which is one of the {num_classes} '
                         'classes; expected a number outside, such as 65535, here and in rsc_mm.LoadLabelMap')
    if found.shape != true.shape:
        raise ValueError(f"{source}: found a prediction of {tuple(found.shape)}, expected the annotation's "
                         f'{tuple(true.shape)}')
    counted = true != ignore_index
    found, true = found[counted].long(), true[counted].long()
    for kind, labels in (('annotated', true), ('predicted', found)):
        if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < num_classes:
            raise ValueError(f'{source}: found {kind} labels from {int(labels.min())} to {int(labels.max())}, expected '
                             f'0 to {num_classes - 1}' + (f' or {ignore_index}' if kind == 'annotated' else ''))
    rows = [true[found == true], found, true]
    return torch.stack([torch.bincount(labels, minlength=num_classes) for labels in rows]).cpu()


def class_rates(counts: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """IoU and accuracy (T,) of each class in percent, float64, nan where undefined.

    Args:
        counts: (3, T), see `count_pixels`.
    """
    right, found, true = counts.double()
    return 100 * right / (found + true - right), 100 * right / true


def mean_iou(counts: torch.Tensor) -> dict[str, float]:
    """The five figures of `SegmentationMetric`; nan where no class has pixels.

    Args:
        counts: (3, T), see `count_pixels`.
    """
    iou, accuracy = class_rates(counts)
    present = counts[2] > 0
    right, _, true = counts.sum(1).double()
    means = {'mIoU': iou.nanmean(), 'mIoU_present': iou[present].mean(), 'mAcc': accuracy.nanmean(),
             'mAcc_present': accuracy[present].mean(), 'aAcc': 100 * right / true}
    return {name: mean.item() for name, mean in means.items()}


def class_table(counts: torch.Tensor, classes: Sequence[str]) -> str:
    """A text table: IoU, accuracy and annotated pixels of every class.

    Args:
        counts: (3, T), see `count_pixels`.
        classes: T names.
    """
    rows = zip(classes, *class_rates(counts), counts[2].tolist())
    return '\n'.join([f'{"class":32} {"IoU":>6} {"Acc":>6} {"pixels":>12}',
                      *(f'{name[:32]:32} {iou:6.2f} {accuracy:6.2f} {n:12d}' for name, iou, accuracy, n in rows)])
