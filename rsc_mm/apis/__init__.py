"""What tools, pages and exports stand on: loading, features, evaluation and experiments as calls of Python."""
from .config import load_config, load_runner_config
from .dense_clip import DenseCLIP
from .features import RefinerFeatures, TowerFeatures, load_features
from .loading import load
from .rescoring import rescore
from .results import AffinityMap, ClassMap, RegionClasses, Retrieval

__all__ = ['AffinityMap', 'ClassMap', 'DenseCLIP', 'RefinerFeatures', 'RegionClasses', 'Retrieval', 'TowerFeatures',
           'load', 'load_config', 'load_features', 'load_runner_config', 'rescore']
