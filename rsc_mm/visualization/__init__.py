from .affinity import affinity_map, token_at
from .class_maps import class_map
from .clusters import kmeans
from .embedding import knn_accuracy, silhouette, tsne

__all__ = ['affinity_map', 'class_map', 'kmeans', 'knn_accuracy', 'silhouette', 'token_at', 'tsne']
