from .masked_cross_entropy import MaskedCrossEntropyLoss, mask_novel
from .refiner_loss import RefinerLoss
from .region_alignment import RegionAlignmentLoss, RegionTextLoss
from .scd import SCDLoss

__all__ = ['MaskedCrossEntropyLoss', 'RefinerLoss', 'RegionAlignmentLoss', 'RegionTextLoss', 'SCDLoss', 'mask_novel']
