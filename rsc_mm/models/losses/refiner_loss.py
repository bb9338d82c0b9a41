import torch
from torch import nn
from torch.nn import functional as F

from rsc_mm.registry import MODELS
from rsc_mm.utils.precision import full_precision

from .region_alignment import mean_over_regions


def info_nce(refined: torch.Tensor, local: torch.Tensor, temperature: float,
             negatives: torch.Tensor | None = None) -> torch.Tensor:
    r"""InfoNCE among the tokens of one crop (R-SC, eq. 13).

    Args:
        refined: (K, L, D).
        local: (K, L, D).
        temperature: divides the dot products.
        negatives: which local tokens are negatives of each refined token (K, L, L), bool; None: all others.

    Returns:
        (K,), the mean over the tokens.
    """
    logits = refined @ local.transpose(1, 2) / temperature  # (K, L, L)
    if negatives is not None:
        itself = torch.eye(logits.shape[1], dtype=torch.bool, device=logits.device)
        logits = logits.masked_fill(~(negatives | itself), -torch.inf)
    return -logits.log_softmax(dim=2).diagonal(dim1=1, dim2=2).mean(1)


def cosine(refined: torch.Tensor, local: torch.Tensor, temperature: float, negatives: None = None) -> torch.Tensor:
    r"""Negative mean cosine of corresponding tokens (R-SC, eq. 14).

    Args:
        refined: (K, L, D).
        local: (K, L, D).
        temperature: not used.
        negatives: None; there are none.

    Returns:
        (K,).
    """
    return -F.cosine_similarity(refined, local, dim=2).mean(1)


OBJECTIVES = {'info_nce': info_nce, 'cosine': cosine}


@MODELS.register_module()
class RefinerLoss(nn.Module):
    r"""Alignment of refined tokens with those of the context-free crop (Qiu et al., ICLR 2025, eq. 9, 13, 14).

    .. math:: L = -\frac{1}{K L} \sum_{i,j} \log \frac{\exp(\hat z_{i,j} \cdot z'_{i,j} / \tau)}
              {\sum_k \exp(\hat z_{i,j} \cdot z'_{i,k} / \tau)}

    The other tokens of the same crop are the negatives. The paper names neither temperature nor normalisation; the
    defaults are unit tokens and 0.1, see configs/shapes/README.md for what was measured. Float32 whatever the autocast.
    The local tokens are detached by the caller.

    Args:
        objective: 'info_nce' or 'cosine' (:math:`-\cos(\hat z_{i,j}, z'_{i,j})`).
        temperature: tau of InfoNCE.
        normalise: divide the tokens by their L2 norms.

    Raises:
        ValueError: a field is out of its range.
    """

    def __init__(self, objective: str = 'info_nce', temperature: float = 0.1, normalise: bool = True) -> None:
        super().__init__()
        if objective not in OBJECTIVES:
            raise ValueError(f"RefinerLoss field 'objective': found {objective!r}, expected one of "
                             f'{sorted(OBJECTIVES)}')
        if temperature <= 0:
            raise ValueError(f"RefinerLoss field 'temperature': found {temperature}, expected a positive number")
        self.objective = objective
        self.temperature = temperature
        self.normalise = normalise

    @full_precision
    def forward(self, refined: torch.Tensor, local: torch.Tensor,
                negatives: torch.Tensor | None = None) -> torch.Tensor:
        """The loss.

        Args:
            refined: tokens of the Refiner (K, L, D).
            local: tokens of the crops through the frozen tower (K, L, D), in the same order.
            negatives: which local tokens are negatives of each refined token (K, L, L), bool; None: all others, as in
                the paper.

        Returns:
            Scalar; 0 with a gradient graph if K = 0.

        Raises:
            ValueError: the shapes do not fit, or the objective has no negatives.
        """
        if refined.shape != local.shape:
            raise ValueError(f'RefinerLoss: found refined tokens {tuple(refined.shape)} and local tokens '
                             f'{tuple(local.shape)}, expected equal shapes (K, L, D)')
        self._check_negatives(negatives, (*local.shape[:2], local.shape[1]))
        if self.normalise:
            refined, local = F.normalize(refined, dim=2), F.normalize(local, dim=2)
        return mean_over_regions(OBJECTIVES[self.objective](refined, local, self.temperature, negatives))

    def _check_negatives(self, negatives: torch.Tensor | None, expected: tuple[int, ...]) -> None:
        if negatives is None:
            return
        if self.objective != 'info_nce':
            raise ValueError(f"RefinerLoss field 'objective': found {self.objective!r} with chosen negatives, expected "
                             "'info_nce', the one that has negatives")
        if tuple(negatives.shape) != expected:
            raise ValueError(f'RefinerLoss: found negatives {tuple(negatives.shape)}, expected {expected}: (K, L, L)')
