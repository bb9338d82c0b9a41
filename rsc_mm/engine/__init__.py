from .bf16_optim_wrapper import BFloat16OptimWrapper, DecayGroupsConstructor
from .refiner_checkpoint_hook import RefinerCheckpointHook
from .resumable_loop import ResumableEpochLoop
from .weight_ensemble_hook import WeightEnsembleHook

__all__ = ['BFloat16OptimWrapper', 'DecayGroupsConstructor', 'RefinerCheckpointHook', 'ResumableEpochLoop',
           'WeightEnsembleHook']
