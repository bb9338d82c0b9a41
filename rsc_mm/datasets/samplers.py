"""Orders of an epoch that any number of workers and processes repeats, and that can be entered in the middle."""
from collections.abc import Iterator, Sized
from typing import NamedTuple

import numpy as np
from mmengine.dist import get_dist_info, sync_random_seed
from torch.utils.data import Sampler

from rsc_mm.registry import DATA_SAMPLERS

# Batches are formed by aspect within this many global batches, so that who meets whom stays random.
_BATCHES_PER_SORT = 50


class Draw(NamedTuple):
    """Which image, and the seeds of everything random in its item."""

    index: int  # type: ignore[assignment]  # a tuple's method of that name is not used
    epoch: int = 0
    seed: int = 0


@DATA_SAMPLERS.register_module()
class EpochSampler(Sampler):
    """One shuffled list per epoch, seeded by (seed, epoch); process r of W takes the entries r, r + W, ...

    Args:
        dataset: the dataset; only its length is used.
        shuffle: False keeps the dataset's order in every epoch, for evaluation.
        round_up: repeats the first images so that every process has equally many, as DDP training needs. False gives
            every image exactly once, as a metric needs.
        seed: default: a random one, the same on all processes. MMEngine's Runner passes its own.

    Attributes:
        epoch: set by `set_epoch`.
        start: number of this process's samples that the next iteration leaves out without decoding them, to resume in
            the middle of an epoch; that iteration sets it back to 0.
    """

    def __init__(self, dataset: Sized, shuffle: bool = True, round_up: bool = True, seed: int | None = None) -> None:
        self.dataset = dataset
        self.rank, self.world_size = get_dist_info()
        self.shuffle = shuffle
        self.round_up = round_up
        self.seed = sync_random_seed() if seed is None else seed
        self.epoch = 0
        self.start = 0

    def epoch_order(self) -> np.ndarray:
        """Image indices of this epoch for all processes together (n,), n a multiple of the processes if rounded up."""
        n = len(self.dataset)
        order = np.random.default_rng([self.seed, self.epoch]).permutation(n) if self.shuffle else np.arange(n)
        total = -(-n // self.world_size) * self.world_size
        return np.resize(order, total) if self.round_up else order

    def draws(self, indices: np.ndarray) -> list[Draw]:
        """The indices with this epoch's seeds."""
        return [Draw(int(i), self.epoch, self.seed) for i in indices]

    def __iter__(self) -> Iterator[Draw]:
        mine = self.epoch_order()[self.rank::self.world_size]
        start, self.start = self.start, 0
        return iter(self.draws(mine[start:]))

    def __len__(self) -> int:
        """Samples of this process in a whole epoch."""
        n = len(self.dataset)
        return -(-n // self.world_size) if self.round_up else len(range(self.rank, n, self.world_size))

    def set_epoch(self, epoch: int) -> None:
        """Selects the epoch; MMEngine's loops call it before each one."""
        self.epoch = epoch


@DATA_SAMPLERS.register_module()
class AspectRatioBatchSampler(Sampler):
    """Batches of images of like aspect, the same aspect on all processes, for the 'rectangle' layout.

    The epoch's order is cut into stretches of 50 global batches; each stretch is sorted by height / width and cut into
    global batches, whose order is shuffled; process r of W takes every W-th image of each, so all have equal shapes
    and equally many batches. An incomplete batch comes last.

    Args:
        sampler: an `EpochSampler` with ``round_up``, whose dataset has ``aspect_ratios()``. MMEngine passes it.
        batch_size: images of one process in a batch.
        drop_last: leaves an incomplete batch out.

    Raises:
        TypeError, ValueError: the sampler or its dataset does not fit.
    """

    def __init__(self, sampler: EpochSampler, batch_size: int, drop_last: bool = False) -> None:
        if not isinstance(sampler, EpochSampler) or not hasattr(sampler.dataset, 'aspect_ratios'):
            raise TypeError(f'AspectRatioBatchSampler.sampler: found {type(sampler).__name__}, expected an EpochSampler'
                            ' over a dataset with aspect_ratios(), such as RegionDataset')
        if not sampler.round_up:
            raise ValueError('AspectRatioBatchSampler.sampler.round_up: found False, expected True: processes must '
                             'have equally many batches')
        self.sampler = sampler
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.aspect_ratios = sampler.dataset.aspect_ratios()

    def __iter__(self) -> Iterator[list[Draw]]:
        sampler = self.sampler
        start, sampler.start = sampler.start, 0
        if start % self.batch_size:
            raise ValueError(f'EpochSampler.start: found {start}, expected a multiple of the batch size '
                             f'{self.batch_size}')
        batches = self._global_batches()[start // self.batch_size:]
        return iter([sampler.draws(batch[sampler.rank::sampler.world_size]) for batch in batches])

    def __len__(self) -> int:
        full, rest = divmod(len(self.sampler), self.batch_size)
        return full + (rest > 0 and not self.drop_last)

    def _global_batches(self) -> list[np.ndarray]:
        size = self.batch_size * self.sampler.world_size
        order = self.sampler.epoch_order()
        batches = []
        for begin in range(0, len(order), size * _BATCHES_PER_SORT):
            stretch = order[begin:begin + size * _BATCHES_PER_SORT]
            stretch = stretch[np.argsort(self.aspect_ratios[stretch], kind='stable')]
            batches += [stretch[i:i + size] for i in range(0, len(stretch), size)]
        full = len(order) // size
        rng = np.random.default_rng([self.sampler.seed, self.sampler.epoch, full])
        shuffled = [batches[i] for i in (rng.permutation(full) if self.sampler.shuffle else range(full))]
        return shuffled if self.drop_last else shuffled + batches[full:]
