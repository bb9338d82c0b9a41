"""Point-affinity maps: how similar every token is to a chosen one."""
import torch
from torch.nn import functional as F

from rsc_mm.utils.precision import full_precision
from rsc_mm.utils.regions import boxes_to_network


@full_precision
def affinity_map(dense: torch.Tensor, row: int, column: int) -> torch.Tensor:
    r"""Cosine similarity of one token to all: :math:`\cos(Z[q], Z[p])` (Qiu et al., ICLR 2025, fig. 5a, app. F.1).

    Args:
        dense: a map (D, h, w).
        row, column: the query token q on the grid.

    Returns:
        (h, w) in -1..1, 1 at the query.
    """
    tokens = F.normalize(dense, dim=0)
    return torch.einsum('d,dhw->hw', tokens[:, row, column], tokens)


def token_at(point: tuple[float, float], original: tuple[int, int], resized: tuple[int, int],
             patch_size: int) -> tuple[int, int]:
    """The token under a pixel of the image file.

    Args:
        point: x and y in original pixels, whole numbers at their centres.
        original: height and width of the image file.
        resized: height and width after resizing, before padding.
        patch_size: network pixels of one grid cell.

    Returns:
        Row and column on the grid.

    Raises:
        ValueError: the point is not in the image.
    """
    (x, y), (height, width) = point, original
    if not (0 <= x < width and 0 <= y < height):
        raise ValueError(f'point: found x,y = {x:g},{y:g}, expected x in 0..{width - 1} and y in 0..{height - 1} for '
                         f'the image of width x height {width} x {height}')
    # A box without extent, in the frame where pixel 0 reaches from 0 to 1.
    box = boxes_to_network(torch.tensor([[x + 0.5, y + 0.5] * 2], dtype=torch.double), original, resized)
    column, row = (box[0, :2] // patch_size).long().tolist()
    return row, column


def colour_range(affinity: torch.Tensor, row: int, column: int) -> tuple[float, float]:
    """Lowest and highest cosine, the query's own left out unless it is the only token.

    Args:
        affinity: (h, w).
        row, column: the query.
    """
    others = torch.ones_like(affinity, dtype=torch.bool)
    others[row, column] = affinity.numel() == 1
    return affinity[others].min().item(), affinity[others].max().item()
