from .attention_correlation import AttentionCorrelation
from .dense_contrast import DenseContrast
from .ema import EMATower
from .maps import StudentMaps, encode_maps
from .masked_modelling import MaskedModelling

__all__ = ['AttentionCorrelation', 'DenseContrast', 'EMATower', 'MaskedModelling', 'StudentMaps', 'encode_maps']
