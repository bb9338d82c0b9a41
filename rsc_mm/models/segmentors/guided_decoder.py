from collections.abc import Sequence

import torch
from torch import nn

from .guided_layers import GuidedConv


class GuidedDecoder(nn.Module):
    """Cost embeddings to logits of four times the side, for each class alone (CAT-Seg, sec. 3.5).

    Args:
        dim: width C of the cost embedding.
        dims: output channels of the two steps.
        guidance_dims: channels of the projected guidance of the two steps.
    """

    def __init__(self, dim: int, dims: Sequence[int], guidance_dims: Sequence[int]) -> None:
        super().__init__()
        self.steps = nn.ModuleList(UpsampleStep(width, out, guide)
                                   for width, out, guide in zip((dim, *dims), dims, guidance_dims))
        self.head = nn.Conv2d(dims[-1], 1, kernel_size=3, padding=1)

    def forward(self, x: torch.Tensor, guidance: Sequence[torch.Tensor]) -> torch.Tensor:
        """Logits.

        Args:
            x: cost embeddings (B, T, h, w, C).
            guidance: projected guidance (B, G1, 2h, 2w) and (B, G2, 4h, 4w).

        Returns:
            (B, T, 4h, 4w).
        """
        maps = x.flatten(0, 1).permute(0, 3, 1, 2)  # (B*T, C, h, w)
        for step, guide in zip(self.steps, guidance):
            maps = step(maps, guide)
        return self.head(maps).squeeze(1).unflatten(0, x.shape[:2])  # (B, T, 4h, 4w)


class UpsampleStep(nn.Module):
    """Twice the side: a transposed convolution, then two 3 x 3 convolutions, of which the first sees the guidance.

    Args:
        dim: input channels.
        out_dim: output channels, a multiple of 16 (the size of a group of the normalisation).
        guidance_dim: channels of the guidance, which take the place of as many of the input's.

    Raises:
        ValueError: the channels do not fit.
    """

    def __init__(self, dim: int, out_dim: int, guidance_dim: int) -> None:
        super().__init__()
        if out_dim % 16 or guidance_dim >= dim:
            raise ValueError("CostAggregator fields 'decoder_dims' and 'decoder_guidance_proj_dims': found a step of "
                             f'{dim} -> {out_dim} channels with a guidance of {guidance_dim}; expected a multiple of '
                             '16 and a guidance below the input')
        self.up = nn.ConvTranspose2d(dim, dim - guidance_dim, kernel_size=2, stride=2)
        self.conv1 = GuidedConv(dim - guidance_dim, guidance_dim, out_dim)
        self.norm1 = nn.GroupNorm(out_dim // 16, out_dim)
        self.conv2 = nn.Conv2d(out_dim, out_dim, kernel_size=3, padding=1, bias=False)
        self.norm2 = nn.GroupNorm(out_dim // 16, out_dim)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: torch.Tensor, guidance: torch.Tensor) -> torch.Tensor:
        """The next finer maps.

        Args:
            x: (B*T, C, h, w).
            guidance: (B, G, 2h, 2w).

        Returns:
            (B*T, out_dim, 2h, 2w).
        """
        x = self.relu(self.norm1(self.conv1(self.up(x), guidance)))
        return self.relu(self.norm2(self.conv2(x)))
