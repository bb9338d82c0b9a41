"""Dense readouts: what the last blocks of a ViT compute for its patch tokens. See `Readout` for the contract."""
from .base import DenseTokens, Readout, build_readout, readout_config
from .hsg import HSGFeedForwardReadout, HSGReadout
from .multi_layer import ValuesQQReadout, ValuesReadout
from .self_attention import (
    AllReadout,
    CSAReadout,
    KKReadout,
    QQReadout,
    SelfAttentionReadout,
    VVReadout,
)
from .value import ValueReadout, VanillaReadout
from .value_cls import ValueClassReadout

__all__ = ['AllReadout', 'CSAReadout', 'DenseTokens', 'HSGFeedForwardReadout', 'HSGReadout', 'KKReadout', 'QQReadout',
           'Readout', 'SelfAttentionReadout', 'VVReadout', 'ValueClassReadout', 'ValueReadout', 'ValuesQQReadout',
           'ValuesReadout', 'VanillaReadout', 'build_readout', 'readout_config']
