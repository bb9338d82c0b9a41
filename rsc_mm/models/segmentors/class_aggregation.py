import torch
from torch import nn
from torch.nn import functional as F

from rsc_mm.utils.precision import full_precision

from .guided_layers import GuidedLinear


class ClassAggregation(nn.Module):
    r"""Aggregation over classes, for each location alone: linear attention with text guidance (CAT-Seg, sec. 3.4).

    .. math:: x \mathrel{+}= \mathrm{up}(z), \quad z = y + \mathrm{MLP}(\mathrm{LN} y), \quad
              y = p + \mathrm{LinAttn}(\mathrm{LN} p, g), \quad p = \mathrm{pool}(x)

    A vocabulary shorter than ``pad_len`` is filled up with a learned token and its learned guidance, as in training,
    so that the sums over classes keep their scale. All these tokens are equal and their outputs are dropped: here one
    is computed and counted pad_len - T times, where the public code computes them all.

    Args:
        dim: width C of the cost embedding.
        guidance_dim: channels G of the projected text guidance.
        num_heads: attention heads.
        pad_len: number of classes up to which is padded; 0 for no padding.
    """

    def __init__(self, dim: int, guidance_dim: int, num_heads: int, pad_len: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.pad_len = pad_len
        self.norm1 = nn.LayerNorm(dim)
        self.q = GuidedLinear(dim, guidance_dim, dim)
        self.k = GuidedLinear(dim, guidance_dim, dim)
        self.v = nn.Linear(dim, dim)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.ReLU(), nn.Linear(4 * dim, dim))
        if pad_len:
            self.padding_token = nn.Parameter(torch.zeros(dim))
            self.padding_guidance = nn.Parameter(torch.zeros(guidance_dim))

    def forward(self, x: torch.Tensor, guidance: torch.Tensor, pooling_size: tuple[int, int] = (1, 1),
                chunk_size: int | None = None) -> torch.Tensor:
        """Cost embeddings that have seen the other classes.

        Args:
            x: cost embeddings (B, T, h, w, C).
            guidance: projected text features (B, T, G).
            pooling_size: average pooling before the attention, in tokens.
            chunk_size: attend at so many locations at a time, which bounds the memory and changes nothing; None: all.

        Returns:
            (B, T, h, w, C).
        """
        grid = x.shape[2:4]
        pooled = x.flatten(0, 1).permute(0, 3, 1, 2)  # (B*T, C, h, w)
        pooled = F.avg_pool2d(pooled, tuple(pooling_size)).unflatten(0, x.shape[:2])  # (B, T, C, h', w')
        pooled_grid = pooled.shape[3:]
        tokens = pooled.flatten(3).permute(0, 3, 1, 2)  # (B, h'*w', T, C)
        parts = tokens.split(chunk_size or tokens.shape[1], dim=1)
        tokens = torch.cat([self._layer(part, guidance.unsqueeze(1)) for part in parts], dim=1)  # (B, h'*w', T, C)
        maps = tokens.permute(0, 2, 3, 1).flatten(0, 1).unflatten(2, pooled_grid)  # (B*T, C, h', w')
        if pooled_grid != grid:
            maps = F.interpolate(maps, grid, mode='bilinear', align_corners=True)
        return x + maps.unflatten(0, x.shape[:2]).permute(0, 1, 3, 4, 2)  # (B, T, h, w, C)

    def _layer(self, x: torch.Tensor, guidance: torch.Tensor) -> torch.Tensor:
        """Tokens (B, L, T, C) and guidance (B, 1, T, G) -> (B, L, T, C)."""
        normed = self.norm1(x)
        q, k, v = (self._heads(y) for y in (self.q(normed, guidance), self.k(normed, guidance), self.v(normed)))
        missing = max(self.pad_len - x.shape[2], 0)
        attended = linear_attention(q, k, v, self._padding() if missing else None, missing)  # (B, L, heads, T, c)
        x = x + attended.transpose(2, 3).flatten(3).to(x.dtype)  # (B, L, T, C)
        return x + self.mlp(self.norm2(x))

    def _padding(self) -> list[torch.Tensor]:
        """Key and value of the padding token, (heads, 1, c) each."""
        token = self.norm1(self.padding_token)[None]  # (1, C)
        return [self._heads(self.k(token, self.padding_guidance[None])), self._heads(self.v(token))]

    def _heads(self, x: torch.Tensor) -> torch.Tensor:
        return x.unflatten(-1, (self.num_heads, -1)).transpose(-3, -2)  # (..., heads, T, c)


@full_precision
def linear_attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, padding: list[torch.Tensor] | None = None,
                     missing: int = 0) -> torch.Tensor:
    r"""Linear attention with :math:`\phi = \mathrm{elu} + 1` (Katharopoulos et al., 2020, eq. 5), in float32.

    .. math:: y_i = \frac{\phi(q_i)^T \sum_j \phi(k_j) v_j^T}{\phi(q_i)^T \sum_j \phi(k_j) + 10^{-6}}

    Args:
        q: queries (..., T, c).
        k: keys (..., T, c).
        v: values (..., T, c).
        padding: key and value (..., 1, c) of one more element, or None.
        missing: how often it counts in the sums.

    Returns:
        (..., T, c) float32.
    """
    q, k = F.elu(q) + 1, F.elu(k) + 1
    context = k.transpose(-2, -1) @ v  # (..., c, c)
    total = k.sum(dim=-2)  # (..., c)
    if padding is not None:
        pad_k, pad_v = F.elu(padding[0]) + 1, padding[1]
        context = context + missing * (pad_k.transpose(-2, -1) @ pad_v)
        total = total + missing * pad_k.sum(dim=-2)
    return (q @ context) / (q @ total.unsqueeze(-1) + 1e-6)
