from collections.abc import Sequence
from typing import Any

import torch

from rsc_mm.datasets.image_io import read_segments
from rsc_mm.datasets.label_maps import IGNORE
from rsc_mm.registry import METRICS

from .segmentation import SegmentationMetric


@METRICS.register_module()
class PanopticMeanIoU(SegmentationMetric):
    """`SegmentationMetric` against a panoptic annotation, the mIoU of panoptic papers (FC-CLIP, table 1).

    The pixels of a listed segment have its class, crowds too; all others do not count. ADE20K's panoptic annotation
    leaves out a few pixels that its semantic one names, so the two differ in the second decimal.

    Args:
        groups: see `SegmentationMetric`.
        per_class: likewise.
        collect_device: likewise.
        prefix: likewise.
    """

    default_prefix = 'semantic'

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(ignore_index=IGNORE, **kwargs)

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Counts the pixels of every image.

        Args:
            data_batch: not used.
            data_samples: with ``pred_sem_seg.data`` (1, H, W) in original pixels, ``seg_map_path`` and ``segments`` of
                `PanopticSegmentDataset`.

        Raises:
            ValueError: there is no ``pred_sem_seg``, or see `SegmentationMetric`.
        """
        for sample in data_samples:
            path = sample['seg_map_path']
            if 'pred_sem_seg' not in sample:
                raise ValueError(f"PanopticMeanIoU: found no 'pred_sem_seg' for {path}, expected a model with "
                                 "'test_cfg.semantic_on' True")
            found = sample['pred_sem_seg']['data']
            ids = read_segments(path, tuple(found.shape[1:]))
            true = torch.full_like(ids, IGNORE)
            for number, label, _ in sample['segments']:
                true[ids == number] = label
            super().process(None, [dict(sample, gt_sem_seg=dict(data=true[None]))])
