"""Detectors on frozen CLIP towers or beside one; imports mmcv and mmdet."""
from rsc_mm.utils.dependencies import require

for library in ('mmcv', 'mmdet'):
    require(library)

# After the check, so that a missing library is one readable line.
from .bbox_head import FViTBBoxHead  # noqa: E402
from .fvit import FViT  # noqa: E402
from .ov_dquo import OVDQUO  # noqa: E402
from .ov_dquo_head import OVDQUOHead  # noqa: E402
from .ov_mask2former import OVMask2Former  # noqa: E402
from .predicted_masks import label_pixels, mask_features  # noqa: E402
from .pyramid import ViTPyramid, ViTPyramidFPN, ViTPyramidMapper  # noqa: E402
from .reference_checkpoint import convert_reference_fvit  # noqa: E402
from .rescored_detector import RescoredDetector  # noqa: E402
from .roi_extractor import Float32RoIExtractor  # noqa: E402
from .roi_head import FViTRoIHead  # noqa: E402
from .rpn_head import NormRPNHead  # noqa: E402
from .shared_cross_entropy import SharedCrossEntropyLoss  # noqa: E402
from .text_assigner import TextHungarianAssigner  # noqa: E402
from .text_mask2former_head import TextMask2FormerHead  # noqa: E402

__all__ = ['FViT', 'FViTBBoxHead', 'FViTRoIHead', 'Float32RoIExtractor', 'NormRPNHead', 'OVDQUO', 'OVDQUOHead',
           'OVMask2Former', 'RescoredDetector', 'SharedCrossEntropyLoss', 'TextHungarianAssigner',
           'TextMask2FormerHead', 'ViTPyramid', 'ViTPyramidFPN', 'ViTPyramidMapper', 'convert_reference_fvit',
           'label_pixels', 'mask_features']
