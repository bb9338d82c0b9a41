import random

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner

from rsc_mm.registry import HOOKS


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Seed every generator by (seed, epoch, process) when an epoch begins, and by it those of the workers.

    What mmdet draws at random (flips, crops, the sampled proposals) then depends on the epoch and not on the epochs
    before it: a run that resumes from the checkpoint of an epoch ends with the weights of an uninterrupted one. The
    data loader needs ``persistent_workers=False``.
    """

    priority = 'VERY_HIGH'

    def before_train(self, runner: Runner) -> None:
        """Let the workers of each epoch have seeds of their own.

        Args:
            runner: the runner.
        """
        runner.train_dataloader.worker_init_fn = seed_worker

    def before_train_epoch(self, runner: Runner) -> None:
        """Seed Python, NumPy and PyTorch.

        Args:
            runner: the runner.
        """
        seed = int(np.random.SeedSequence([runner.seed, runner.epoch, get_rank()]).generate_state(1)[0])
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)


def seed_worker(worker_id: int) -> None:
    """Seed Python and NumPy in a worker by PyTorch's seed, which is another one in each epoch.

    PyTorch draws it when the loader starts, after the hook has seeded the epoch. MMEngine's own function replaces it by
    one that depends on the worker only, so that workers that start anew repeat the flips and crops of the first epoch.

    Args:
        worker_id: not used; PyTorch has added it to the seed.
    """
    random.seed(torch.initial_seed())
    np.random.seed(torch.initial_seed() % 2**32)
