"""Segmentors on dense CLIP features; with datasets/segmentation the only package here that imports mmcv and mmseg."""
from rsc_mm.utils.dependencies import require

for library in ('mmcv', 'mmseg'):
    require(library)

# After the check, so that a missing library is one readable line.
from .catseg import CATSeg  # noqa: E402
from .catseg_checkpoint import convert_catseg, convert_catseg_aggregator  # noqa: E402
from .catseg_head import CATSegHead  # noqa: E402
from .cost_aggregator import CostAggregator  # noqa: E402
from .dense_clip import DenseCLIPSegmentor  # noqa: E402
from .preprocessor import RectangleSegPreProcessor  # noqa: E402

__all__ = ['CATSeg', 'CATSegHead', 'CostAggregator', 'DenseCLIPSegmentor', 'RectangleSegPreProcessor', 'convert_catseg',
           'convert_catseg_aggregator']
