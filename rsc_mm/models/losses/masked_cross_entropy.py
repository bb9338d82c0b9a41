import torch
from torch import nn
from torch.nn import functional as F

from rsc_mm.registry import MODELS
from rsc_mm.utils.precision import full_precision


@MODELS.register_module()
class MaskedCrossEntropyLoss(nn.Module):
    r"""Cross-entropy over the classes that training knows (CLIPSelf's public F-ViT code).

    .. math:: L = \frac{1}{N} \sum_i w_i\, b_{y_i} \Big(-\log \frac{e^{z_{i y_i}}}{\sum_{c \in A} e^{z_{ic}}}\Big)

    with :math:`A` the base classes and the background, :math:`b` the weight of the background for samples of the
    background and 1 otherwise, :math:`w` the sample weights and :math:`N` the number of samples with :math:`w > 0`.
    Novel classes are left out of the sum: a sample of the background may be a novel object, and a class that is never
    positive would only be pushed down. As in mmdet, the sum is divided by N, not by the sum of weights.

    Args:
        background_weight: b of the background; 0.6 on OV-COCO, 0.9 on OV-LVIS.
        loss_weight: factor of the loss.
    """

    def __init__(self, background_weight: float = 1., loss_weight: float = 1.) -> None:
        super().__init__()
        self.background_weight = background_weight
        self.loss_weight = loss_weight

    @full_precision
    def forward(self, logits: torch.Tensor, labels: torch.Tensor, weight: torch.Tensor | None = None,
                avg_factor: float | None = None, reduction_override: str | None = None) -> torch.Tensor:
        """The loss, as mmdet's box heads call it.

        Args:
            logits: (N, T+1), the background last; `mask_novel` sets those of novel classes to minus infinity.
            labels: (N,), T is the background; never a masked class.
            weight: sample weights (N,); None: 1.
            avg_factor: the divisor; None: the number of samples with a weight above 0, at least 1.
            reduction_override: 'none' returns a value for each sample.

        Returns:
            Scalar, or (N,).
        """
        weight = torch.ones_like(labels, dtype=logits.dtype) if weight is None else weight
        background = labels == logits.shape[1] - 1
        weight = torch.where(background, self.background_weight * weight, weight)
        values = self.loss_weight * weight * F.cross_entropy(logits, labels, reduction='none')
        if reduction_override == 'none':
            return values
        count = max(float((weight > 0).sum()), 1.) if avg_factor is None else avg_factor
        return values.sum() / count


def mask_novel(logits: torch.Tensor, is_base: torch.Tensor) -> torch.Tensor:
    """Logits in which novel classes have no part.

    Args:
        logits: (N, T+1).
        is_base: (T+1,) bool, True for base classes and the background.

    Returns:
        (N, T+1), minus infinity for novel classes.
    """
    return logits.masked_fill(~is_base, -torch.inf)
