"""How much of the tokens of training is padding."""
import numpy as np

from rsc_mm.datasets import AspectRatioBatchSampler, EpochSampler, TokenBudgetBatchSampler
from rsc_mm.datasets.token_budget import padding_share


class Shapes:
    """A data set of which only the shapes are known.

    Args:
        shapes: height and width of every image (n, 2).
    """

    def __init__(self, shapes: np.ndarray) -> None:
        self.shapes = shapes

    def __len__(self) -> int:
        return len(self.shapes)

    def aspect_ratios(self) -> np.ndarray:
        """Height / width (n,)."""
        return self.shapes[:, 0] / self.shapes[:, 1]


def measure(shapes: np.ndarray, image_size: int, patch_size: int, batch_size: int) -> list[dict[str, float | str]]:
    """A line for squares, batches of like aspect, and token budgets: padding in percent, batches, images a batch.

    Args:
        shapes: height and width of every image (n, 2).
        image_size: longest side in pixels.
        patch_size: in pixels.
        batch_size: images of a batch, of a token budget square ones.
    """
    sampler = EpochSampler(Shapes(shapes), seed=0)
    budget = TokenBudgetBatchSampler(sampler, batch_size, image_size, patch_size)
    aspect = AspectRatioBatchSampler(sampler, batch_size)
    squares = 1 - budget.grids.prod(1).mean() / (image_size // patch_size)**2
    like = padding_share([np.array([draw.index for draw in batch]) for batch in aspect], budget.grids)
    rows = (('square', squares, len(aspect)), ('rectangle', like, len(aspect)), ('tokens', budget.padding, len(budget)))
    return [dict(batches=name, padding_percent=100 * float(share), number=count, images=len(shapes) / count)
            for name, share, count in rows]
