from .aggregation import aggregate, cut_submaps, embed_target, matched_iou, random_places, token_labels
from .coupling_ratio import coupled_cosines, coupling_ratio, coupling_ratio_of_means, summarise_coupling
from .ov_detection import LVISDetectionMetric
from .panoptic_mean_iou import PanopticMeanIoU
from .panoptic_quality import PanopticQuality, class_qualities, match_segments, mean_qualities
from .region_classification import RegionClassificationMetric
from .retrieval import recall, retrieval_ranks, retrieve, smallest_regions
from .segment_affinity import segment_auc
from .segmentation import SegmentationMetric

__all__ = [
    'LVISDetectionMetric', 'PanopticMeanIoU', 'PanopticQuality', 'RegionClassificationMetric', 'SegmentationMetric',
    'aggregate', 'class_qualities', 'coupled_cosines', 'coupling_ratio', 'coupling_ratio_of_means', 'cut_submaps',
    'embed_target', 'match_segments', 'matched_iou', 'mean_qualities', 'random_places', 'recall', 'retrieval_ranks',
    'retrieve', 'segment_auc', 'smallest_regions', 'summarise_coupling', 'token_labels'
]
