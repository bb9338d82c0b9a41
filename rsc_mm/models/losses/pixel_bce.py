import torch
from torch import nn
from torch.nn import functional as F

from rsc_mm.registry import MODELS
from rsc_mm.utils.precision import full_precision

from .region_alignment import mean_over_regions


@MODELS.register_module()
class PixelBCELoss(nn.Module):
    r"""Binary cross-entropy of every pixel with every class (CAT-Seg, sec. 4.2).

    .. math:: L = \frac{1}{N T} \sum_i \sum_c -y_{ic} \log \sigma(z_{ic}) - (1 - y_{ic}) \log(1 - \sigma(z_{ic}))

    Float32 whatever the autocast; the targets y are never written out. Several processes give the gradient of the
    joint batch.

    Args:
        ignore: what becomes of pixels without a class: 'negative' counts them among the N as pixels of no class
            (:math:`y_i = 0`), as the public code does; 'mask' leaves them out.
        loss_weight: factor of the loss.

    Raises:
        ValueError: unknown ``ignore``.
    """

    def __init__(self, ignore: str = 'negative', loss_weight: float = 1.) -> None:
        super().__init__()
        if ignore not in ('negative', 'mask'):
            raise ValueError(f"PixelBCELoss field 'ignore': found {ignore!r}, expected 'negative' or 'mask'")
        self.ignore = ignore
        self.loss_weight = loss_weight

    @full_precision
    def forward(self, logits: torch.Tensor, labels: torch.Tensor, ignore_index: int = 255) -> torch.Tensor:
        """The loss.

        Args:
            logits: (B, T, H, W).
            labels: (B, H, W), 0..T-1 or ``ignore_index``.
            ignore_index: label of pixels without a class.

        Returns:
            Scalar; 0 with a gradient graph if no pixel counts.

        Raises:
            ValueError: a label is not below T.
        """
        valid = labels != ignore_index
        labels = labels.masked_fill(~valid, 0)
        classes = logits.shape[1]
        if labels.numel() and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
            raise ValueError(f'PixelBCELoss: found labels {int(labels.min())} to {int(labels.max())}, expected 0 to '
                             f'{classes - 1} for {classes} classes, or {ignore_index} for pixels without a class; do '
                             'the data set and the model list the same classes?')
        of_label = logits.gather(1, labels.unsqueeze(1)).squeeze(1) * valid  # (B, H, W)
        values = (F.softplus(logits).sum(dim=1) - of_label) / classes  # (B, H, W), since -log s(z) = softplus(z) - z
        return self.loss_weight * mean_over_regions(values.flatten() if self.ignore == 'negative' else values[valid])
