import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from rsc_mm.registry import MODELS
from rsc_mm.utils.precision import full_precision

from .region_alignment import mean_over_regions


def row_norm(difference: torch.Tensor) -> torch.Tensor:
    r""":math:`\frac{1}{N} \sum_i \|S^t_{i,:} - S^s_{i,:}\|_2`: DeCLIP's public code; grows as the root of N.

    Args:
        difference: of the correlations (N, N).

    Returns:
        Scalar.
    """
    return difference.norm(dim=1).mean()


def absolute(difference: torch.Tensor) -> torch.Tensor:
    r""":math:`\frac{1}{N^2} \sum_{ij} |S^t_{ij} - S^s_{ij}|`: DeCLIP's equation 9 to the letter, the norm of a number.

    Args:
        difference: of the correlations (N, N).

    Returns:
        Scalar.
    """
    return difference.abs().mean()


def matrix_norm(difference: torch.Tensor) -> torch.Tensor:
    r""":math:`\frac{1}{N^2} \|S^t - S^s\|_F`: DenseRC's equation 20 to the letter, with the Frobenius norm.

    Args:
        difference: of the correlations (N, N).

    Returns:
        Scalar.
    """
    return difference.norm() / difference.numel()


def mse(difference: torch.Tensor) -> torch.Tensor:
    r""":math:`\frac{1}{N^2} \sum_{ij} (S^t_{ij} - S^s_{ij})^2`.

    Args:
        difference: of the correlations (N, N).

    Returns:
        Scalar.
    """
    return difference.square().mean()


DISTANCES = {'row_norm': row_norm, 'absolute': absolute, 'matrix_norm': matrix_norm, 'mse': mse}


@MODELS.register_module()
class ContextCorrelationLoss(nn.Module):
    r"""Distance of the token correlations of student and teacher over a whole image (DeCLIP, eq. 8-9; DenseRC, eq. 20).

    .. math:: S_{ij} = \cos(x_i, x_j), \quad L = \frac{\lambda}{B} \sum_b d(S^t_b - S^s_b)

    with :math:`d` by default :math:`\frac{1}{N} \sum_i \|\cdot_{i,:}\|_2`, as DeCLIP's public code has it. The mean
    runs over the images of all processes. Padding counts among the tokens, as in that code. Float32 whatever the
    autocast; one image at a time, recomputed in the backward pass: 64 MiB for each matrix of 64 x 64 tokens.

    Args:
        loss_weight: lambda; DeCLIP's paper gives 0.25, its scripts 0.1, DenseRC 0.025.
        distance: d: 'row_norm', 'absolute' (equation 9 of DeCLIP to the letter), 'matrix_norm' (equation 20 of DenseRC
            to the letter) or 'mse'.

    Raises:
        ValueError: there is no such distance.
    """

    def __init__(self, loss_weight: float = 0.25, distance: str = 'row_norm') -> None:
        super().__init__()
        if distance not in DISTANCES:
            raise ValueError(f"ContextCorrelationLoss field 'distance': found {distance!r}, expected one of "
                             f'{sorted(DISTANCES)}')
        self.loss_weight = loss_weight
        self.distance = distance

    @full_precision
    def forward(self, student: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """The loss.

        Args:
            student: map (B, E, h, w), not normalised.
            target: map (B, E', h, w) without gradient, of any number of channels.

        Returns:
            Scalar; 0 with a gradient graph if B = 0.

        Raises:
            ValueError: images or grids differ.
        """
        if student.shape[0] != target.shape[0] or student.shape[2:] != target.shape[2:]:
            raise ValueError(f'ContextCorrelationLoss: found a student map {tuple(student.shape)} and a target '
                             f'{tuple(target.shape)}, expected the same images B and the same grid in (B, E, h, w); '
                             'resizing one map to the other would blur its tokens: give the teacher an input whose '
                             'grid agrees')
        if not len(student):
            return student.sum()
        values = [checkpoint(self.image_distance, *pair, use_reentrant=False) for pair in zip(student, target)]
        return self.loss_weight * mean_over_regions(torch.stack(values))

    def image_distance(self, student: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """The distance on one image.

        Args:
            student: (E, h, w).
            target: (E', h, w).

        Returns:
            Scalar.
        """
        units = [F.normalize(tokens.flatten(1), dim=0) for tokens in (student, target)]  # (E, N)
        own, other = (unit.t() @ unit for unit in units)  # (N, N)
        return DISTANCES[self.distance](other - own)
