"""Classification by text: what detectors, segmentors and the API share; nothing here needs mmdet or mmseg."""
from .category_ensemble import ensemble_categories
from .dense_scores import best_of_queries, class_probabilities, label_cosines, label_map, text_cosines
from .score_fusion import fuse_scores, spread_scores
from .text_classifier import TextClassifier, pack_vocabulary, unpack_vocabulary
from .windows import slide, upsample, window_places

__all__ = ['TextClassifier', 'best_of_queries', 'class_probabilities', 'ensemble_categories', 'fuse_scores',
           'label_cosines', 'label_map', 'pack_vocabulary', 'slide', 'spread_scores', 'text_cosines',
           'unpack_vocabulary', 'upsample', 'window_places']
