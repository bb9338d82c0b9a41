from .image_io import BadImageError, read_image
from .region_dataset import RegionDataset, region_collate
from .region_sources import (
    GridRegions,
    InstanceRegions,
    LocalCropRegions,
    PanopticRegions,
    ProposalRegions,
    RegionTextRegions,
    WithLocalCrops,
)
from .samplers import AspectRatioBatchSampler, Draw, EpochSampler
from .structures import ImageRecord, RegionSample

__all__ = [
    'AspectRatioBatchSampler', 'BadImageError', 'Draw', 'EpochSampler', 'GridRegions', 'ImageRecord',
    'InstanceRegions', 'LocalCropRegions', 'PanopticRegions', 'ProposalRegions', 'RegionDataset', 'RegionSample',
    'RegionTextRegions', 'WithLocalCrops', 'read_image', 'region_collate'
]
