"""Dense readouts: what the last blocks of a ViT compute for its patch tokens. See `Readout` for the contract."""
from .base import DenseTokens, Readout, build_readout, readout_config
from .value import ValueReadout, VanillaReadout

__all__ = ['DenseTokens', 'Readout', 'ValueReadout', 'VanillaReadout', 'build_readout', 'readout_config']
