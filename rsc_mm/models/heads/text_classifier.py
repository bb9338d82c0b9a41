import torch
from torch import nn
from torch.nn import functional as F

from rsc_mm.registry import MODELS
from rsc_mm.utils.precision import full_precision


@MODELS.register_module()
class TextClassifier(nn.Module):
    r"""The last layer of a box head: cosine with class embeddings instead of learned weights (ViLD; F-VLM, sec. 3.2).

    .. math:: z_c = \tau\, \frac{x}{\|x\|} \cdot e_c

    The embeddings are no parameters and not saved: the vocabulary may change after training. The public F-ViT code
    divides by a norm that may be 0 (features come from a ReLU) and yields NaN; here the norm is at least 1e-6.

    Args:
        in_features: D, which mmdet's box head fills in.
        out_features: T+1, likewise.
        temperature: :math:`\tau` at the start, 50 in F-ViT; learned.
        fixed_temperature: used in the place of the learned one, for transfer to other data sets (50 in F-ViT).
    """

    def __init__(self, in_features: int, out_features: int, temperature: float = 50.,
                 fixed_temperature: float | None = None) -> None:
        super().__init__()
        self.in_features = in_features
        self.fixed_temperature = fixed_temperature
        self.temperature = nn.Parameter(torch.tensor(float(temperature)), requires_grad=fixed_temperature is None)
        self.register_buffer('embeddings', torch.zeros(out_features, 0), persistent=False)

    def set_embeddings(self, embeddings: torch.Tensor) -> None:
        """Change the classes.

        Args:
            embeddings: unit rows (T+1, D), the background last.

        Raises:
            ValueError: another D than that of the features.
        """
        if embeddings.shape[1] != self.in_features:
            raise ValueError(f"box head field 'class_embeddings': found {embeddings.shape[1]} channels, expected "
                             f"{self.in_features}, the head's field 'fc_out_channels'; both must be CLIP's embedding "
                             'size')
        self.embeddings = embeddings.to(self.embeddings.device, torch.float32)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits of the classes.

        Args:
            x: features (K, D).

        Returns:
            (K, T+1), float32 whatever the autocast.
        """
        tau = self.temperature if self.fixed_temperature is None else self.fixed_temperature
        return tau * self.cosine(x)

    def cosine(self, x: torch.Tensor) -> torch.Tensor:
        """Cosines with the class embeddings.

        Args:
            x: features (K, D), of any length.

        Returns:
            (K, T+1), float32.
        """
        return _cosine(x, self.embeddings)


@full_precision
def _cosine(x: torch.Tensor, embeddings: torch.Tensor) -> torch.Tensor:
    return F.normalize(x, dim=1, eps=1e-6) @ embeddings.t()
