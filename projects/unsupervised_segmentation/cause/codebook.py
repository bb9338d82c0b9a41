import torch
from torch import nn
from torch.nn import functional as F

from rsc_mm.models.losses.region_alignment import mean_over_regions
from rsc_mm.utils.precision import full_precision

from .modularity import modularity_loss


class Codebook(nn.Module):
    """K concepts as directions of a feature space, learned by modularity (CAUSE, sec. 3.2 and 3.4).

    It is both CAUSE's codebook, of 2048 concepts in the tower's space, and its cluster probe, of as many concepts as
    classes in the segment head's space.

    Args:
        num_codes: K.
        channels: D.

    Raises:
        ValueError: there is no code.
    """

    def __init__(self, num_codes: int, channels: int) -> None:
        super().__init__()
        if num_codes < 1:
            raise ValueError(f'Codebook.num_codes: found {num_codes}, expected at least 1')
        self.weight = nn.Parameter(torch.empty(num_codes, channels).uniform_(-1 / num_codes, 1 / num_codes))

    @full_precision
    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Cosines with all concepts.

        Args:
            tokens: (..., D).

        Returns:
            (..., K).
        """
        return F.normalize(tokens, dim=-1) @ F.normalize(self.weight, dim=1).t()

    @torch.no_grad()
    def nearest(self, tokens: torch.Tensor) -> torch.Tensor:
        """The concept of each token.

        Args:
            tokens: (..., D).

        Returns:
            Numbers (...,) in 0..K-1; of equally near ones the first.
        """
        return self(tokens).argmax(-1)

    def loss(self, tokens: torch.Tensor) -> torch.Tensor:
        """`modularity_loss` as the mean over the images of all processes.

        Args:
            tokens: (B, N, D); they get no gradient.

        Returns:
            Scalar.
        """
        return mean_over_regions(modularity_loss(tokens, self.weight))
