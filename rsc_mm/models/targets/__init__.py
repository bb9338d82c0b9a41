from .cached_targets import CachedTargets, crop_embeddings
from .target_store import TargetStore

__all__ = ['CachedTargets', 'TargetStore', 'crop_embeddings']
