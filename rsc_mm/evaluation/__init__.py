from .region_classification import RegionClassificationMetric

__all__ = ['RegionClassificationMetric']
