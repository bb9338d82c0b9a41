import random

import numpy as np
import torch

from rsc_mm.registry import FUNCTIONS


@FUNCTIONS.register_module()
def epoch_worker_init(worker_id: int) -> None:
    """For ``worker_init_fn`` of mmdet's data loaders beside `EpochSeedHook`: other random numbers in each epoch.

    PyTorch seeds each worker of an epoch by a number that it draws when the epoch begins, after the hook. MMEngine's
    own function replaces these seeds by the same ones at every start, so that with ``persistent_workers=False`` each
    epoch repeats the flips and crops of the first.

    Args:
        worker_id: not used; PyTorch has added it to the seed.
    """
    seed = torch.initial_seed()
    random.seed(seed)
    np.random.seed(seed % 2**32)
