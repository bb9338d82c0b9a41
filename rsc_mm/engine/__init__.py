from .bf16_optim_wrapper import BFloat16OptimWrapper, DecayGroupsConstructor
from .class_order_hook import ClassOrderHook
from .epoch_seed_hook import EpochSeedHook
from .readout_hook import ReadoutHook
from .refiner_checkpoint_hook import RefinerCheckpointHook
from .resumable_loop import ResumableEpochLoop
from .weight_ensemble_hook import WeightEnsembleHook

__all__ = ['BFloat16OptimWrapper', 'ClassOrderHook', 'DecayGroupsConstructor', 'EpochSeedHook', 'ReadoutHook',
           'RefinerCheckpointHook', 'ResumableEpochLoop', 'WeightEnsembleHook']
