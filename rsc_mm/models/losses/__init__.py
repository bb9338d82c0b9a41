from .context_correlation import ContextCorrelationLoss
from .masked_cross_entropy import MaskedCrossEntropyLoss, mask_novel
from .pixel_bce import PixelBCELoss
from .refiner_loss import RefinerLoss
from .region_alignment import RegionAlignmentLoss, RegionTextLoss
from .scd import SCDLoss

__all__ = ['ContextCorrelationLoss', 'MaskedCrossEntropyLoss', 'PixelBCELoss', 'RefinerLoss', 'RegionAlignmentLoss',
           'RegionTextLoss', 'SCDLoss', 'mask_novel']
