from .region_alignment import RegionAlignmentLoss, RegionTextLoss

__all__ = ['RegionAlignmentLoss', 'RegionTextLoss']
