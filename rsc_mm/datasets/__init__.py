from .image_io import BadImageError, read_image
from .local_crops import LocalCropRegions, SegmentedLocalCrops, WithLocalCrops
from .region_dataset import RegionDataset, region_collate
from .region_sources import GridRegions, InstanceRegions, PanopticRegions, ProposalRegions, RegionTextRegions
from .samplers import AspectRatioBatchSampler, Draw, EpochSampler
from .structures import ImageRecord, RegionSample
from .token_budget import TokenBudgetBatchSampler

__all__ = [
    'AspectRatioBatchSampler', 'BadImageError', 'Draw', 'EpochSampler', 'GridRegions', 'ImageRecord',
    'InstanceRegions', 'LocalCropRegions', 'PanopticRegions', 'ProposalRegions', 'RegionDataset', 'RegionSample',
    'RegionTextRegions', 'SegmentedLocalCrops', 'TokenBudgetBatchSampler', 'WithLocalCrops', 'read_image',
    'region_collate'
]
