"""Dense readouts: what the last blocks of a ViT compute for its patch tokens. See `Readout` for the contract."""
from .base import DenseTokens, Readout, build_readout, readout_config
from .value import ValueReadout, VanillaReadout
from .value_cls import ValueClassReadout

__all__ = ['DenseTokens', 'Readout', 'ValueClassReadout', 'ValueReadout', 'VanillaReadout', 'build_readout',
           'readout_config']
