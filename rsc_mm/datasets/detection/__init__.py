"""Pseudo boxes of unknown objects in mmdet's data sets; imports mmdet."""
from rsc_mm.utils.dependencies import require

for library in ('mmcv', 'mmdet'):
    require(library)

# After the check, so that a missing library is one readable line.
from .packing import PackUnknownObjects  # noqa: E402
from .unknown_objects import UnknownObjectsCocoDataset, UnknownObjectsLVISDataset  # noqa: E402

__all__ = ['PackUnknownObjects', 'UnknownObjectsCocoDataset', 'UnknownObjectsLVISDataset']
