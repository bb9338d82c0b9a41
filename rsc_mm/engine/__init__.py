from .bf16_optim_wrapper import BFloat16OptimWrapper, DecayGroupsConstructor
from .epoch_seed_hook import EpochSeedHook
from .refiner_checkpoint_hook import RefinerCheckpointHook
from .resumable_loop import ResumableEpochLoop
from .weight_ensemble_hook import WeightEnsembleHook

__all__ = ['BFloat16OptimWrapper', 'DecayGroupsConstructor', 'EpochSeedHook', 'RefinerCheckpointHook',
           'ResumableEpochLoop', 'WeightEnsembleHook']
