from typing import Any

import numpy as np
import torch
from mmdet.datasets.transforms import PackDetInputs

from rsc_mm.registry import TRANSFORMS


@TRANSFORMS.register_module()
class PackUnknownObjects(PackDetInputs):
    """mmdet's packing, which also gives each box its weight: the last step for `UnknownObjectsCocoDataset`.

    mmdet's transforms choose boxes and labels by index and know of no further array. So the k-th pseudo box of an image
    travels through them with the label -1 - k; here it becomes -1, and the weight is that of the k-th.

    Args:
        **kwargs: see mmdet's `PackDetInputs`.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Pack a sample.

        Args:
            results: of mmdet's transforms, with ``unknown_weights`` of the image's pseudo boxes if it has any.

        Returns:
            See mmdet; ``gt_instances`` has labels of -1 for pseudo boxes, and ``weights``, 1 for annotated boxes.
        """
        packed = super().transform(results)
        objects = packed['data_samples'].gt_instances
        labels = objects.labels
        known = torch.from_numpy(np.append(results.get('unknown_weights', []), 1.)).float()
        objects.weights = known[torch.where(labels < 0, -1 - labels, -1)]  # the last is the annotated ones'
        objects.labels = labels.clamp(min=-1)
        return packed
