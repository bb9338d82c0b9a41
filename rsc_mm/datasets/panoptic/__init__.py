"""COCO panoptic files for mmdet's panoptic models; imports mmdet."""
from rsc_mm.utils.dependencies import require

for library in ('mmcv', 'mmdet'):
    require(library)

# After the check, so that a missing library is one readable line.
from .panoptic_dataset import PanopticSegmentDataset  # noqa: E402
from .panoptic_loading import LoadPanopticSegments  # noqa: E402

__all__ = ['LoadPanopticSegments', 'PanopticSegmentDataset']
