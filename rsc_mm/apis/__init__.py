"""What tools, pages and exports stand on: configurations, features, evaluation and experiments as calls of Python."""
from .config import load_config, load_runner_config
from .features import RefinerFeatures, TowerFeatures, load_features

__all__ = ['RefinerFeatures', 'TowerFeatures', 'load_config', 'load_features', 'load_runner_config']
