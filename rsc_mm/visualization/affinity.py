"""Point-affinity maps: how similar every token is to a chosen one."""
import torch
from torch.nn import functional as F

from rsc_mm.utils.precision import full_precision


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


def colour_range(affinity: torch.Tensor, row: int, column: int,
                 whole: tuple[int, int] | None = None) -> tuple[float, float]:
    """Lowest and highest cosine of the tokens that lie in the image as a whole, the query's own left out.

    Args:
        affinity: (h, w).
        row, column: the query.
        whole: rows and columns that lie in the image as a whole, see `whole_cells`; default: all.
    """
    rows, columns = whole or affinity.shape
    others = torch.zeros_like(affinity, dtype=torch.bool)
    others[:rows, :columns] = True
    others[row, column] = False
    if not others.any():  # the query is the only token
        others[row, column] = True
    return affinity[others].min().item(), affinity[others].max().item()
