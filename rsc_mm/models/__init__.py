from .backbones import CLIPViT, DINOv2ViT, EVACLIPViT, PECoreViT, SigLIPViT, TIPSViT, ViTTower
from .distillers import (
    SCRLA,
    AttentionCorrelation,
    CLIPSelf,
    ConstrainedRLA,
    CropAlignment,
    DeCLIP,
    DenseContrast,
    DenseRC,
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
    ContextCorrelationLoss,
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
from .teachers import VFMTeacher
from .text import CLIPTextEncoder, VocabularyEncoder

__all__ = ['AttentionCorrelation', 'CLIPSelf', 'CLIPTextEncoder', 'CLIPViT', 'CachedTargets', 'ConstrainedRLA',
           'ContextCorrelationLoss', 'CropAlignment', 'DINOv2ViT', 'DeCLIP', 'DenseContrast', 'DenseRC', 'Distiller',
           'EVACLIPViT', 'EndToEndSCRLA', 'MaskedCrossEntropyLoss', 'MaskedModelling', 'NounAlignment', 'PECoreViT',
           'PixelBCELoss', 'Refiner', 'RefinerLoss', 'RefinerTrainer', 'RegionAlignmentLoss', 'RegionEncoder',
           'RegionPreprocessor', 'RegionText', 'RegionTextLoss', 'SCDLoss', 'SCRLA', 'SigLIPViT', 'TIPSViT',
           'TextClassifier', 'VFMTeacher', 'ViTTower', 'VocabularyEncoder', 'ensemble']
