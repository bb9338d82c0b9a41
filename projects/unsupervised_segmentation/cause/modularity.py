"""Modularity of tokens as a loss of the concepts that they share (CAUSE, sec. 3.2; Newman, PNAS 2006)."""
import torch
from torch.nn import functional as F

from rsc_mm.utils.precision import full_precision

CHUNK = 16  # codes compared at once: memory of 16 affinity matrices


@full_precision
def modularity_loss(tokens: torch.Tensor, codes: torch.Tensor, temperature: float = 0.1) -> torch.Tensor:
    r"""Minus the modularity of the graph of an image's tokens, whose communities are the concepts.

    .. math:: A_{ij} = [i \ne j]\,\mathrm{relu}\cos(x_i, x_j), \quad d_i = \sum_j A_{ij}, \quad e = \sum_{ij} A_{ij},
              \quad W = A - d d^T / e

    .. math:: C_{ik} = \mathrm{relu}\cos(x_i, c_k), \quad \delta_{ij} = \tanh(\max_k C_{ik} C_{jk} / T), \quad
              L = -\frac{1}{e} \sum_{ij} W_{ij} \delta_{ij}

    The public code takes the maximum of the tanh; the tanh is monotone, so this is the same. An image without any pair
    of like tokens (e = 0) has the loss 0. Float32 whatever the autocast.

    Args:
        tokens: x (B, N, D), taken without gradient.
        codes: c (K, D).
        temperature: T.

    Returns:
        (B,); the gradient reaches the codes alone.
    """
    tokens = F.normalize(tokens.detach(), dim=2)
    assignment = (tokens @ F.normalize(codes, dim=1).t()).relu()  # (B, N, K)
    weights, total = modularity_matrix(tokens)
    together = (strongest_agreement(assignment) / temperature).tanh()  # (B, N, N)
    return -(weights * together).sum((1, 2)) / total


def modularity_matrix(tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """W (B, N, N) and e (B,), at least a tiny number.

    Args:
        tokens: unit vectors (B, N, D).
    """
    affinity = (tokens @ tokens.transpose(1, 2)).relu()  # (B, N, N)
    affinity.diagonal(dim1=1, dim2=2).zero_()
    degree = affinity.sum(2)  # (B, N)
    total = degree.sum(1).clamp(min=torch.finfo(tokens.dtype).tiny ** 0.5)  # (B,)
    return affinity - degree[:, :, None] * (degree / total[:, None])[:, None], total


def strongest_agreement(assignment: torch.Tensor) -> torch.Tensor:
    r""":math:`\max_k C_{ik} C_{jk}` (B, N, N), without a tensor of B x N x N x K.

    The best k is found without gradient, a few codes at a time; only the product at that k is differentiated.

    Args:
        assignment: C (B, N, K).
    """
    best = strongest_code(assignment.detach())  # (B, N, N)
    first, second = (assignment.gather(2, index) for index in (best, best.transpose(1, 2)))
    return first * second.transpose(1, 2)


def strongest_code(assignment: torch.Tensor) -> torch.Tensor:
    """The k of `strongest_agreement` (B, N, N); of equal ones the first.

    Args:
        assignment: C (B, N, K).
    """
    by_code = assignment.permute(2, 0, 1)  # (K, B, N)
    value = by_code.new_full((*by_code.shape[1:], by_code.shape[2]), -1.)  # (B, N, N)
    code = torch.zeros_like(value, dtype=torch.long)
    for start in range(0, len(by_code), CHUNK):
        part = by_code[start:start + CHUNK]
        found, place = (part[..., None] * part[:, :, None]).max(0)  # (B, N, N)
        better = found > value
        value, code = torch.where(better, found, value), torch.where(better, place + start, code)
    return code
