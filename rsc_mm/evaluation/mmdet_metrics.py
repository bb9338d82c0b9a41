"""mmdet's metrics of detection in percent; not imported by `rsc_mm.evaluation`, because mmdet is needed."""
import math

from mmengine.logging import print_log

from rsc_mm.registry import METRICS
from rsc_mm.utils.dependencies import require

for library in ('mmcv', 'mmdet'):
    require(library)

# After the check, so that a missing library is one readable line.
from mmdet.evaluation import metrics as mmdet_metrics  # noqa: E402


@METRICS.register_module()
class CocoMetric(mmdet_metrics.CocoMetric):
    """mmdet's ``CocoMetric`` in percent; what has no annotation is nan instead of -1."""

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Mmdet's figures in percent; arguments as there."""
        return in_percent(super().compute_metrics(results))


@METRICS.register_module()
class VOCMetric(mmdet_metrics.VOCMetric):
    """mmdet's ``VOCMetric`` in percent."""

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Mmdet's figures in percent; arguments as there."""
        return in_percent(super().compute_metrics(results))


@METRICS.register_module()
class OVCocoMetric(mmdet_metrics.OVCocoMetric):
    r"""mmdet's ``OVCocoMetric`` in percent, with AP50 over all classes (OVR-CNN, Zareian et al., 2021, sec. 4).

    .. math:: AP50_{all} = \frac{n_b\, AP50_{base} + n_n\, AP50_{novel}}{n_b + n_n}

    with the numbers n of base and novel classes that have an annotation. A split without any is absent: its figures are
    nan and the log says so, where mmdet gives -1. Without a single detection the figures are 0, where mmdet gives none.

    Returns (`evaluate`):
        ``base_ap50``, ``novel_ap50``, ``all_ap50``, ``base_ap``, ``novel_ap`` and those of mmdet's ``CocoMetric``.
    """

    def compute_metrics(self, results: list) -> dict[str, float]:
        """AP over the whole data set.

        Args:
            results: annotations and detections of each image, see mmdet.
        """
        metrics = in_percent(super().compute_metrics(results))
        if self.format_only or not {'bbox', 'segm'} & set(self.metrics):
            return metrics
        counts = {split: self._annotated(ids) for split, ids in (('base', self.base_cat_ids),
                                                                 ('novel', self.novel_cat_ids))}
        for split, count in counts.items():
            if not count:
                print_log(f'{split} AP: absent, found no annotation of the {split} classes', 'current')
            for name in ('ap', 'ap50'):
                metrics.setdefault(f'{split}_{name}', 0. if count else math.nan)
        total = sum(count * metrics[f'{split}_ap50'] for split, count in counts.items() if count)
        metrics['all_ap50'] = total / sum(counts.values()) if any(counts.values()) else math.nan
        return metrics

    def _annotated(self, cat_ids: list[int]) -> int:
        """Number of categories with an annotation that counts."""
        rows = self._coco_api.load_anns(self._coco_api.get_ann_ids(img_ids=self.img_ids, cat_ids=cat_ids))
        return len({row['category_id'] for row in rows if not row.get('iscrowd') and not row.get('ignore')})


def in_percent(metrics: dict[str, float]) -> dict[str, float]:
    """Fractions in percent, mmdet's -1 as nan.

    Args:
        metrics: fractions by name.
    """
    return {name: math.nan if value < 0 else 100 * float(value) for name, value in metrics.items()}
