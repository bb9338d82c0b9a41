"""Semantic coupling: how much two images that share a canvas leak into each other's tokens."""
import torch
from torch.nn import functional as F

from rsc_mm.utils.precision import full_precision


@full_precision
def coupled_cosines(a_ab: torch.Tensor, b_ab: torch.Tensor, a: torch.Tensor,
                    b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    r"""Numerator and denominator of the coupling ratio for every token (Qiu et al., ICLR 2025, eq. 15).

    .. math:: n_i = \cos(Z_{A|AB}[i], Z_{B|AB}[j]), \quad d_i = \cos(Z_A[i], Z_B[j]), \quad
              j = \arg\max_k \cos(Z_{A|AB}[i], Z_{B|AB}[k])

    Args:
        a_ab: tokens of A, encoded beside B (..., N, D).
        b_ab: tokens of B, encoded beside A (..., M, D).
        a: tokens of A, encoded alone (..., N, D).
        b: tokens of B, encoded alone (..., M, D).

    Returns:
        Two tensors (..., N), in at least float32.

    Raises:
        ValueError: an image has another number of tokens beside the other image than alone.
    """
    if a_ab.shape != a.shape or b_ab.shape != b.shape:
        raise ValueError(f'coupled_cosines: found tokens of A {tuple(a_ab.shape)} and {tuple(a.shape)}, of B '
                         f'{tuple(b_ab.shape)} and {tuple(b.shape)}, expected the same shape beside and alone')
    coupled, partner = cosines(a_ab, b_ab).max(dim=-1)
    return coupled, cosines(a, b).gather(-1, partner[..., None])[..., 0]


def coupling_ratio(a_ab: torch.Tensor, b_ab: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    r"""Mean over the tokens of A of :math:`n_i / d_i` (eq. 15); 1 without coupling.

    The literal mean of ratios. A denominator near 0 dominates it, one below 0 turns its sign, and j is chosen where
    the numerator is largest: it means something only where all cosines of unrelated tokens stay well above 0, as in
    CLIP's narrow cone. `coupling_ratio_of_means` is safe elsewhere.

    Args:
        a_ab, b_ab, a, b: see `coupled_cosines`.

    Returns:
        (...), one value for each pair of images.
    """
    coupled, alone = coupled_cosines(a_ab, b_ab, a, b)
    return (coupled / alone).mean(-1)


def coupling_ratio_of_means(a_ab: torch.Tensor, b_ab: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    r"""The robust companion :math:`\sum_i n_i / \sum_i d_i` of the coupling ratio; 1 without coupling.

    Not in the paper. It weights the ratios by their denominators, so that single tokens cannot dominate.

    Args:
        a_ab, b_ab, a, b: see `coupled_cosines`.

    Returns:
        (...), one value for each pair of images.
    """
    coupled, alone = coupled_cosines(a_ab, b_ab, a, b)
    return coupled.sum(-1) / alone.sum(-1)


def summarise_coupling(coupled: torch.Tensor, alone: torch.Tensor) -> dict[str, float]:
    """The figures of many pairs.

    Args:
        coupled: :math:`n_i` of P pairs (P, N).
        alone: :math:`d_i` (P, N).

    Returns:
        ``coupling_ratio``: eq. 15, averaged over pairs; ``coupling_ratio_of_means``: all numerators by all
        denominators; for both ``..._stderr``, the standard error over pairs; ``coupling_ratio_median``: over all
        tokens; ``mean_cosine_together`` and ``mean_cosine_alone``; ``denominators_below_0.05``: share of tokens whose
        ratio says nothing; ``pairs``: P.
    """
    coupled, alone = coupled.double(), alone.double()
    ratios, of_means = coupled / alone, coupled.mean() / alone.mean()
    return {
        'coupling_ratio': ratios.mean().item(),
        'coupling_ratio_stderr': standard_error(ratios.mean(1)),
        'coupling_ratio_of_means': of_means.item(),
        'coupling_ratio_of_means_stderr': standard_error((coupled - of_means * alone).mean(1) / alone.mean()),
        'coupling_ratio_median': ratios.median().item(),
        'mean_cosine_together': coupled.mean().item(),
        'mean_cosine_alone': alone.mean().item(),
        'denominators_below_0.05': (alone < 0.05).double().mean().item(),
        'pairs': len(ratios),
    }


def standard_error(values: torch.Tensor) -> float:
    """Standard error of the mean of independent values (P,); NaN for a single one.

    Args:
        values: (P,).
    """
    return values.std().item() / len(values) ** 0.5 if len(values) > 1 else float('nan')


def cosines(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Cosine of every token of one set with every token of the other.

    Args:
        x: (..., N, D).
        y: (..., M, D).

    Returns:
        (..., N, M).
    """
    return F.normalize(x, dim=-1) @ F.normalize(y, dim=-1).mT
