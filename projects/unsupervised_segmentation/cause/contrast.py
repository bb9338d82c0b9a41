"""The contrastive loss of step 2 (CAUSE, sec. 3.3), where concepts say who is alike."""
import torch

from rsc_mm.utils.precision import full_precision


def thin(grid: tuple[int, int], cell: int, seed: int) -> torch.Tensor:
    """One random token of each cell of cell x cell tokens; the rest at the right and lower border is left out.

    Args:
        grid: h and w.
        cell: side in tokens.
        seed: of the draw.

    Returns:
        Numbers (h // cell * w // cell,) in the grid, row by row.

    Raises:
        ValueError: a cell is larger than the grid.
    """
    rows, columns = (side // cell for side in grid)
    if not rows or not columns:
        raise ValueError(f"SegmentHeadStep field 'cell': found {cell}, expected at most the grid's {min(grid)}")
    drawn = torch.randint(cell, (2, rows, columns), generator=torch.Generator().manual_seed(seed))
    down, right = drawn[0] + cell * torch.arange(rows)[:, None], drawn[1] + cell * torch.arange(columns)
    return (down * grid[1] + right).flatten()  # (rows * columns,)


@full_precision
def contrast(anchors: torch.Tensor, keys: torch.Tensor, likeness: torch.Tensor, own: torch.Tensor | None = None,
             temperature: float = 0.07, bounds: tuple[float, float] = (0.1, 0.3)) -> torch.Tensor:
    r"""The loss of each image that has a positive pair.

    .. math:: L = \frac{1}{|P|} \sum_{(i, j) \in P} \Big[ -s_{ij} / T +
              \log \sum_{k \in P_i \cup N_i} e^{s_{ik} / T} \Big], \quad s_{ij} = \cos(z_i, t_j)

    A pair is positive where the likeness of its concepts is above the upper bound, negative below the lower; pairs
    between count nowhere, and no token is paired with itself. The public code takes the mean over no pair, NaN, for an
    image without positives; here such an image has no term. Float32 whatever the autocast.

    Args:
        anchors: unit z (B, n, C).
        keys: unit t (M, C), of all images; without gradient.
        likeness: cosines of the concepts (B, n, M).
        own: number of each anchor among the keys (B, n); None: it is not among them.
        temperature: T.
        bounds: the lower and the upper.

    Returns:
        (B',), one value for each image with positives, B' <= B.
    """
    logits = anchors @ keys.t() / temperature  # (B, n, M)
    positive, counted = likeness > bounds[1], (likeness > bounds[1]) | (likeness < bounds[0])
    if own is not None:
        positive, counted = (pairs.scatter(2, own[..., None], False) for pairs in (positive, counted))
    # Not -inf: a row without any pair would have the gradient NaN.
    total = logits.masked_fill(~counted, torch.finfo(logits.dtype).min).logsumexp(2, keepdim=True)  # (B, n, 1)
    number = positive.sum((1, 2))  # (B,)
    values = torch.where(positive, total - logits, 0.).sum((1, 2))[number > 0]
    return values / number[number > 0]
