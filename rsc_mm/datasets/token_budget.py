"""Batches of a constant number of tokens instead of a constant number of images."""
from collections.abc import Iterator

import numpy as np
from mmengine.logging import print_log
from torch.utils.data import Sampler

from rsc_mm.registry import DATA_SAMPLERS

from .samplers import Draw, EpochSampler


@DATA_SAMPLERS.register_module()
class TokenBudgetBatchSampler(Sampler):
    """Batches of images with the same token grid, as many as a budget of tokens holds, for the 'rectangle' layout.

    Images that are resized to the same grid of h x w patches make a bin; a batch takes ``budget // (h w)`` of them.
    What is left of a bin goes on to the bin of the next taller shape, where it is padded. Each epoch shuffles the
    images of every bin and the batches.

    At the same step all processes have equally many images of like shape. Every epoch has equally many batches, so that
    schedules and resuming count in steps. The last batch repeats images where they do not divide by the processes.

    Args:
        sampler: an `EpochSampler` whose dataset has ``aspect_ratios()``. MMEngine passes it.
        batch_size: of one process, in square images: the budget is ``batch_size (image_size / patch_size)^2`` tokens.
            MMEngine passes the data loader's.
        image_size: longest side after resizing in pixels, as of `RegionPreprocessor`.
        patch_size: in pixels.

    Attributes:
        padding: share of the tokens that are padding beyond an image's own whole patches.

    Raises:
        TypeError, ValueError: the sampler, its dataset or a size does not fit.
    """

    def __init__(self, sampler: EpochSampler, batch_size: int, image_size: int, patch_size: int) -> None:
        if not isinstance(sampler, EpochSampler) or not hasattr(sampler.dataset, 'aspect_ratios'):
            raise TypeError(f'TokenBudgetBatchSampler.sampler: found {type(sampler).__name__}, expected an EpochSampler'
                            ' over a dataset with aspect_ratios(), such as RegionDataset')
        if image_size <= 0 or image_size % patch_size:
            raise ValueError(f'TokenBudgetBatchSampler.image_size: found {image_size}, expected a multiple of the '
                             f'patch size {patch_size}')
        self.sampler = sampler
        self.batch_size = batch_size
        self.budget = batch_size * (image_size // patch_size)**2
        self.grids = token_grids(sampler.dataset.aspect_ratios(), image_size, patch_size)
        self.sizes = self._plan()
        batches = self._batches(np.random.default_rng(0))
        self.padding = padding_share(batches, self.grids)
        images = [size // sampler.world_size for size in self.sizes]
        print_log(f'{len(self.grids)} images in {len(self)} batches of {min(images)} to {max(images)} images a '
                  f'process, at most {self.budget} tokens; {100 * self.padding:.1f} % of the tokens are padding',
                  'current')

    def __iter__(self) -> Iterator[list[Draw]]:
        sampler = self.sampler
        start, sampler.start = sampler.start, 0  # counted in square images, as the loop does
        rng = np.random.default_rng([sampler.seed, sampler.epoch])
        batches = self._batches(rng if sampler.shuffle else None)
        order = rng.permutation(len(batches)) if sampler.shuffle else range(len(batches))
        return iter([sampler.draws(batches[i][sampler.rank::sampler.world_size])
                     for i in list(order)[start // self.batch_size:]])

    def __len__(self) -> int:
        return len(self.sizes)

    def _order(self, rng: np.random.Generator | None) -> np.ndarray:
        """All images by their grid, from the widest to the tallest; shuffled within a grid."""
        images = np.arange(len(self.grids)) if rng is None else rng.permutation(len(self.grids))
        grids = self.grids[images]
        return images[np.lexsort((-grids[:, 1], grids[:, 0]))]

    def _batches(self, rng: np.random.Generator | None) -> list[np.ndarray]:
        order = np.resize(self._order(rng), sum(self.sizes))  # the first images again where the last batch needs more
        return np.split(order, np.cumsum(self.sizes)[:-1])

    def _plan(self) -> list[int]:
        """Images of each global batch; it depends on the grids in their order only, which is that of every epoch."""
        grids, world, sizes, begin = self.grids[self._order(None)], self.sampler.world_size, [], 0
        while begin < len(grids):
            most = max(1, self.budget // int(grids[begin].prod())) * world
            # A batch begins with one grid and may run into taller ones, each of which enlarges the canvas.
            canvas = np.maximum.accumulate(grids[begin:begin + most])
            tokens = canvas.prod(1) * -(-np.arange(1, len(canvas) + 1) // world)
            fitting = int((tokens <= self.budget).sum()) // world * world
            same = int((grids[begin:begin + fitting] == grids[begin]).all(1).sum()) // world * world
            # Whole batches of one grid first; a shorter rest is filled up from the next.
            sizes.append(max(world, same if same == most else fitting))
            begin += sizes[-1]
        return sizes


def token_grids(aspect_ratios: np.ndarray, image_size: int, patch_size: int) -> np.ndarray:
    """Height and width in patches of images resized to a longest side (n, 2).

    Args:
        aspect_ratios: height / width (n,).
        image_size: longest side in pixels.
        patch_size: in pixels.
    """
    sides = np.stack([np.minimum(aspect_ratios, 1), np.minimum(1 / aspect_ratios, 1)], axis=1) * image_size
    return np.maximum(-(-np.maximum(np.rint(sides), 1) // patch_size), 1).astype(np.int64)


def padding_share(batches: list[np.ndarray], grids: np.ndarray) -> float:
    """The share of all tokens that are padding, where a batch's canvas holds its tallest and its widest grid.

    Args:
        batches: the images of each.
        grids: of all images (n, 2).
    """
    total = sum(len(batch) * int(grids[batch].max(0).prod()) for batch in batches)
    own = sum(int(grids[batch].prod(1).sum()) for batch in batches)
    return 1 - own / total
