import random

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner

from rsc_mm.registry import HOOKS


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Seed every generator by (seed, epoch, process) when an epoch begins.

    What mmdet draws at random (flips, crops, the sampled proposals) then depends on the epoch and not on the epochs
    before it: a run that resumes from the checkpoint of an epoch ends with the weights of an uninterrupted one.
    """

    priority = 'VERY_HIGH'

    def before_train_epoch(self, runner: Runner) -> None:
        """Seed Python, NumPy and PyTorch.

        Args:
            runner: the runner.
        """
        seed = int(np.random.SeedSequence([runner.seed, runner.epoch, get_rank()]).generate_state(1)[0])
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
