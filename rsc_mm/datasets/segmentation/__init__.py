"""Semantic segmentation in mmseg's data sets; with models/segmentors the only package that imports mmseg."""
from rsc_mm.utils.dependencies import require

for library in ('mmcv', 'mmseg'):
    require(library)

# After the check, so that a missing library is one readable line.
from .benchmarks import (  # noqa: E402
    ADE20K847Dataset,
    COCOObjectDataset,
    PascalContext459Dataset,
    PascalVOC21Dataset,
)
from .label_map_dataset import LabelMapDataset  # noqa: E402
from .loading import LoadLabelMap, LoadPanopticLabels  # noqa: E402
from .panoptic import PanopticLabelDataset  # noqa: E402

__all__ = ['ADE20K847Dataset', 'COCOObjectDataset', 'LabelMapDataset', 'LoadLabelMap', 'LoadPanopticLabels',
           'PanopticLabelDataset', 'PascalContext459Dataset', 'PascalVOC21Dataset']
