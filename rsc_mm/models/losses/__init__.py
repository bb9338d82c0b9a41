from .refiner_loss import RefinerLoss
from .region_alignment import RegionAlignmentLoss, RegionTextLoss
from .scd import SCDLoss

__all__ = ['RefinerLoss', 'RegionAlignmentLoss', 'RegionTextLoss', 'SCDLoss']
