"""Classification by text: what detectors, segmentors and the API share; nothing here needs mmdet or mmseg."""
from .score_fusion import fuse_scores
from .text_classifier import TextClassifier

__all__ = ['TextClassifier', 'fuse_scores']
