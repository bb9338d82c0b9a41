"""Unsupervised segmentation by CAUSE (Kim et al., 2023); importing it registers its parts under the scope rsc_mm."""
from .cluster_step import ClusterStep
from .codebook_step import CodebookStep
from .crf import DenseCRF
from .datasets import (
    Cityscapes27Dataset,
    COCOStuff27Dataset,
    COCOStuff27From171Dataset,
    FiveCropDataset,
    HalfCrop,
)
from .heads import MLPHead, TransformerHead
from .metrics import ClusterMetric, LinearProbeMetric
from .segment_head_step import SegmentHeadStep

__all__ = ['COCOStuff27Dataset', 'COCOStuff27From171Dataset', 'Cityscapes27Dataset', 'ClusterMetric', 'ClusterStep',
           'CodebookStep', 'DenseCRF', 'FiveCropDataset', 'HalfCrop', 'LinearProbeMetric', 'MLPHead', 'SegmentHeadStep',
           'TransformerHead']
