from .backbones import CLIPViT, EVACLIPViT, ViTTower
from .distillers import (
    SCRLA,
    AttentionCorrelation,
    CLIPSelf,
    ConstrainedRLA,
    CropAlignment,
    DenseContrast,
    Distiller,
    EndToEndSCRLA,
    MaskedModelling,
    NounAlignment,
    RefinerTrainer,
    RegionText,
    ensemble,
)
from .heads import TextClassifier
from .losses import (
    MaskedCrossEntropyLoss,
    PixelBCELoss,
    RefinerLoss,
    RegionAlignmentLoss,
    RegionTextLoss,
    SCDLoss,
)
from .necks import Refiner
from .region_encoder import RegionEncoder
from .region_preprocessor import RegionPreprocessor
from .targets import CachedTargets
from .text import CLIPTextEncoder, VocabularyEncoder

__all__ = ['AttentionCorrelation', 'CLIPSelf', 'CLIPTextEncoder', 'CLIPViT', 'CachedTargets', 'ConstrainedRLA',
           'CropAlignment', 'DenseContrast', 'Distiller', 'EVACLIPViT', 'EndToEndSCRLA', 'MaskedCrossEntropyLoss',
           'MaskedModelling', 'NounAlignment', 'PixelBCELoss', 'Refiner', 'RefinerLoss', 'RefinerTrainer',
           'RegionAlignmentLoss', 'RegionEncoder', 'RegionPreprocessor', 'RegionText', 'RegionTextLoss', 'SCDLoss',
           'SCRLA', 'TextClassifier', 'ViTTower', 'VocabularyEncoder', 'ensemble']
