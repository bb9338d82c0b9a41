"""Open-vocabulary detection on LVIS: AP of rare (novel), common and frequent classes, for boxes and masks."""
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from pycocotools import mask as mask_utils

from rsc_mm.datasets.annotations import load_json
from rsc_mm.datasets.open_vocabulary import FREQUENCIES, check_classes, read_categories
from rsc_mm.registry import METRICS
from rsc_mm.utils.regions import file_boxes

from .federated_ap import AREAS, federated_ap

# mmdet's LVISV1Dataset corrects a name that the official file misspells (id 655); its labels are the file's anyway.
MMDET_SPELLING = {'speaker_(stereo_equipment)': 'speaker_(stero_equipment)'}


@METRICS.register_module()
class LVISDetectionMetric(BaseMetric):
    """LVIS AP in percent: mmdet's ``LVISMetric`` under the same names, where its ``lvis`` package does not run.

    lvis 0.5.3 uses ``np.float``, which NumPy 1.24 removed, so that mmdet's metric stops after the test. The figures
    are the same (see `federated_ap`), except that the sizes of masks (APs, APm, APl of 'segm') are those of the masks
    and not of their boxes. OV-COCO's AP50 is `rsc_mm.evaluation.mmdet_metrics.OVCocoMetric`.

    The classes are compared with the file's categories at the first batch, not after hours of inference; the
    annotations are read at the end, on the main process alone.

    Args:
        ann_file: LVIS v1 json.
        metric: 'bbox', 'segm' or both.
        per_class: logs AP and AP50 of every class.
        prefix: put before the names with a slash.

    Returns (`evaluate`):
        ``bbox_AP``, ``bbox_AP50``, ``bbox_AP75``, ``bbox_APs``, ``bbox_APm``, ``bbox_APl``, ``bbox_APr``,
        ``bbox_APc``, ``bbox_APf`` and the same for ``segm``; nan where no class has an annotation.

    Raises:
        ValueError: another metric, or classes that are not the file's categories in their order.
    """

    def __init__(self, ann_file: str, metric: str | Sequence[str] = ('bbox', 'segm'), per_class: bool = False,
                 prefix: str | None = 'lvis') -> None:
        super().__init__(prefix=prefix)
        self.metrics = (metric, ) if isinstance(metric, str) else tuple(metric)
        if not self.metrics or not set(self.metrics) <= {'bbox', 'segm'}:
            raise ValueError(f"LVISDetectionMetric.metric: found {metric}, expected 'bbox', 'segm' or both")
        self.ann_file = ann_file
        self.per_class = per_class
        self._checked = False

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keeps the detections of a batch.

        Args:
            data_batch: not used.
            data_samples: with ``img_id`` and ``pred_instances``: bboxes (N, 4) as (x1, y1, x2, y2) in original pixels,
                scores (N,), labels (N,), and for 'segm' masks (N, H, W).
        """
        if not self._checked:
            classes = [MMDET_SPELLING.get(name, name) for name in self.dataset_meta['classes']]
            categories = [{**row, 'name': MMDET_SPELLING.get(row['name'], row['name'])}
                          for row in read_categories(self.ann_file)]
            check_classes({'categories': categories}, classes)
            self._checked = True
        for sample in data_samples:
            found = sample['pred_instances']
            result = {'bbox': file_boxes(found['bboxes'].double().cpu()).numpy(),
                      'scores': found['scores'].double().cpu().numpy(), 'labels': found['labels'].cpu().numpy()}
            if 'segm' in self.metrics:
                result['segm'] = _encode(found['masks'])
            self.results.append((sample['img_id'], result))

    def compute_metrics(self, results: list[tuple[int, dict]]) -> dict[str, float]:
        """AP over the whole data set.

        Args:
            results: image id and detections.
        """
        content = load_json(self.ann_file)
        categories = sorted(content['categories'], key=lambda category: category['id'])
        ids = [category['id'] for category in content['categories']]
        metrics = {}
        for kind in self.metrics:
            ap = federated_ap(content, _rows(results, ids, kind), kind)
            metrics.update({f'{kind}_{name}': 100 * value for name, value in summarise_ap(ap, categories).items()})
            absent = [FREQUENCIES[key] for key in FREQUENCIES if np.isnan(metrics[f'{kind}_AP{key}'])]
            if absent:
                print_log(f'{kind} AP of {" and ".join(absent)} classes: absent, found no annotation', 'current')
            if self.per_class:
                print_log(f'{kind} AP by class\n{_table(ap, categories)}', 'current')
        return metrics


def summarise_ap(ap: np.ndarray, categories: Sequence[dict]) -> dict[str, float]:
    """Means over the categories that have annotations.

    Args:
        ap: (T, 10, 4) of `federated_ap`.
        categories: T categories with their ``frequency``, in the same order.

    Returns:
        AP, AP50, AP75, APs, APm, APl, APr, APc, APf; nan for a group without annotations.
    """
    whole = ap[:, :, 0]
    parts = {'AP': whole, 'AP50': whole[:, 0], 'AP75': whole[:, 5]}
    parts.update({f'AP{size}': ap[:, :, i] for i, size in enumerate(AREAS) if size})
    frequency = np.array([category['frequency'] for category in categories])
    parts.update({f'AP{key}': whole[frequency == key] for key in FREQUENCIES})
    return {name: float(np.nanmean(part)) if np.isfinite(part).any() else float('nan') for name, part in parts.items()}


def _rows(results: list[tuple[int, dict]], ids: list[int], kind: str) -> list[dict]:
    key = {'bbox': 'bbox', 'segm': 'segmentation'}[kind]
    return [{'image_id': img_id, 'category_id': ids[label], 'score': float(score), key: region}
            for img_id, found in results
            for region, score, label in zip(found[kind], found['scores'], found['labels'])]


def _encode(masks: Any) -> list[dict]:
    """Run-length codes of N masks (N, H, W)."""
    masks = masks.cpu().numpy() if isinstance(masks, torch.Tensor) else np.asarray(masks)
    return [mask_utils.encode(np.asfortranarray(mask, np.uint8)) for mask in masks]


def _table(ap: np.ndarray, categories: Sequence[dict]) -> str:
    rows = [f'{category["name"]:32} {FREQUENCIES[category["frequency"]]:9} {100 * ap[i, :, 0].mean():6.1f} '
            f'{100 * ap[i, 0, 0]:6.1f}' for i, category in enumerate(categories)]
    return '\n'.join([f'{"class":32} {"frequency":9} {"AP":>6} {"AP50":>6}', *rows])
