"""Layers over [x; guidance], where the guidance is shared: by all classes, or by all locations.

By linearity :math:`W [x; g] = W_x x + W_g g`, so the guidance's part is computed once and broadcast, instead of being
repeated for every class as the public code does; the weights keep its shapes.
"""
import torch
from torch import nn
from torch.nn import functional as F


class GuidedLinear(nn.Linear):
    """A linear layer over [x; guidance].

    Args:
        dim: channels C of x.
        guidance_dim: channels G of the guidance.
        out_dim: output channels.
    """

    def __init__(self, dim: int, guidance_dim: int, out_dim: int) -> None:
        super().__init__(dim + guidance_dim, out_dim)

    def forward(self, x: torch.Tensor, guidance: torch.Tensor) -> torch.Tensor:
        """The layer's output.

        Args:
            x: (..., C).
            guidance: (..., G), whose leading shape broadcasts to that of x.

        Returns:
            (..., out_dim).
        """
        of_x, of_guidance = self.weight.split([x.shape[-1], guidance.shape[-1]], dim=1)
        return F.linear(x, of_x, self.bias) + F.linear(guidance, of_guidance)


class GuidedConv(nn.Conv2d):
    """A 3 x 3 convolution without bias over [x; guidance].

    Args:
        dim: channels C of x.
        guidance_dim: channels G of the guidance.
        out_dim: output channels.
    """

    def __init__(self, dim: int, guidance_dim: int, out_dim: int) -> None:
        super().__init__(dim + guidance_dim, out_dim, kernel_size=3, padding=1, bias=False)

    def forward(self, x: torch.Tensor, guidance: torch.Tensor) -> torch.Tensor:
        """The layer's output for every class.

        Args:
            x: (B*T, C, h, w), the classes of an image side by side.
            guidance: (B, G, h, w), one for each image.

        Returns:
            (B*T, out_dim, h, w).
        """
        of_x, of_guidance = self.weight.split([x.shape[1], guidance.shape[1]], dim=1)
        per_class = F.conv2d(x, of_x, padding=1).unflatten(0, (len(guidance), -1))  # (B, T, out_dim, h, w)
        per_image = F.conv2d(guidance, of_guidance, padding=1).unsqueeze(1)  # (B, 1, out_dim, h, w)
        return (per_class + per_image).flatten(0, 1)  # (B*T, out_dim, h, w)
