from .backbones import CLIPViT, EVACLIPViT
from .distillers import CLIPSelf, Distiller, RegionText, ensemble
from .losses import RegionAlignmentLoss, RegionTextLoss
from .region_encoder import RegionEncoder
from .region_preprocessor import RegionPreprocessor
from .text import CLIPTextEncoder

__all__ = ['CLIPSelf', 'CLIPTextEncoder', 'CLIPViT', 'Distiller', 'EVACLIPViT', 'RegionAlignmentLoss', 'RegionEncoder',
           'RegionPreprocessor', 'RegionText', 'RegionTextLoss', 'ensemble']
