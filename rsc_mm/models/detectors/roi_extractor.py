from collections.abc import Callable

import torch
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor

from rsc_mm.registry import MODELS
from rsc_mm.utils.precision import full_precision


@MODELS.register_module()
class Float32RoIExtractor(SingleRoIExtractor):
    """mmdet's extractor in float32 under autocast.

    mmdet casts the boxes to the type of the features. In float16 coordinates above 512 then move in steps of 0.5 px,
    in bfloat16 above 256 in steps of 2 px. Features are made contiguous: mmcv's operator on the CPU reads any other
    layout as if it were, without an error.
    """

    def forward(self, feats: tuple[torch.Tensor, ...], rois: torch.Tensor,
                roi_scale_factor: float | None = None) -> torch.Tensor:
        """RoIAlign of every box on the level of its size.

        Args:
            feats: levels (B, C, h_l, w_l), finest first.
            rois: image number and box in network pixels (K, 5).
            roi_scale_factor: see mmdet.

        Returns:
            (K, C, size, size), float32.
        """
        return _extract(super().forward, list(feats), rois, roi_scale_factor)


@full_precision
def _extract(extract: Callable, feats: list[torch.Tensor], rois: torch.Tensor,
             factor: float | None) -> torch.Tensor:
    return extract([level.contiguous() for level in feats], rois, factor)
