from rsc_mm.utils.regions import token_at

from .affinity import affinity_map, colour_range
from .class_maps import class_map
from .clusters import cluster_maps, kmeans
from .embedding import knn_accuracy, silhouette, tsne

__all__ = ['affinity_map', 'class_map', 'cluster_maps', 'colour_range', 'kmeans', 'knn_accuracy', 'silhouette',
           'token_at', 'tsne']
