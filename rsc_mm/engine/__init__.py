from .bf16_optim_wrapper import BFloat16OptimWrapper, DecayGroupsConstructor
from .class_order_hook import ClassOrderHook
from .ema_hook import EMAHook
from .epoch_seed_hook import EpochSeedHook
from .label_order_hook import LabelOrderHook
from .loss_check_hook import LossCheckHook
from .readout_hook import ReadoutHook
from .refiner_checkpoint_hook import RefinerCheckpointHook
from .report_hook import ReportHook
from .resumable_loop import ResumableEpochLoop
from .resume_position_hook import ResumePositionHook
from .safe_checkpoint_hook import SafeCheckpointHook
from .training import train
from .weight_ensemble_hook import WeightEnsembleHook
from .work_dir import lock_work_dir

__all__ = ['BFloat16OptimWrapper', 'ClassOrderHook', 'DecayGroupsConstructor', 'EMAHook', 'EpochSeedHook',
           'LabelOrderHook', 'LossCheckHook', 'ReadoutHook', 'RefinerCheckpointHook', 'ReportHook',
           'ResumableEpochLoop', 'ResumePositionHook', 'SafeCheckpointHook', 'WeightEnsembleHook', 'lock_work_dir',
           'train']
