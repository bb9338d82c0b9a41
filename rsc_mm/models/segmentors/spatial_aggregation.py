import torch
from torch import nn
from torch.nn import functional as F

from .guided_layers import GuidedLinear


class SpatialAggregation(nn.Module):
    """Aggregation over locations, for each class alone: two Swin blocks with appearance guidance (CAT-Seg, sec. 3.4).

    Args:
        dim: width C of the cost embedding.
        guidance_dim: channels G of the projected appearance guidance.
        num_heads: attention heads.
        window_size: side of a window in tokens; the second block shifts by half of it.
    """

    def __init__(self, dim: int, guidance_dim: int, num_heads: int, window_size: int) -> None:
        super().__init__()
        self.guidance_norm = nn.LayerNorm(guidance_dim)
        self.blocks = nn.ModuleList(SwinBlock(dim, guidance_dim, num_heads, window_size, shift)
                                    for shift in (0, window_size // 2))

    def forward(self, x: torch.Tensor, guidance: torch.Tensor) -> torch.Tensor:
        """Cost embeddings that have seen their neighbourhood.

        Args:
            x: cost embeddings (B, T, h, w, C).
            guidance: projected appearance (B, h, w, G), shared by the classes.

        Returns:
            (B, T, h, w, C).
        """
        guidance = self.guidance_norm(guidance).unsqueeze(1)  # (B, 1, h, w, G)
        for block in self.blocks:
            x = block(x, guidance)
        return x


class SwinBlock(nn.Module):
    r"""A Swin block whose queries and keys also see a guidance (CAT-Seg, sec. 3.4; no relative position bias).

    .. math:: y = x + \mathrm{proj}(\mathrm{Attn}(W_q [\mathrm{LN} x; g], W_k [\mathrm{LN} x; g], W_v \mathrm{LN} x)),
              \quad z = y + \mathrm{MLP}(\mathrm{LN} y)

    On a grid no wider than a window nothing is shifted and the window shrinks to the grid's shorter side, as in the
    public code. Grids that windows do not tile, which it refuses, are padded; padding is masked.

    Args:
        dim: width C.
        guidance_dim: channels G.
        num_heads: attention heads.
        window_size: side of a window in tokens.
        shift: cyclic shift in tokens, 0 for none.
    """

    def __init__(self, dim: int, guidance_dim: int, num_heads: int, window_size: int, shift: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.window_size = window_size
        self.shift = shift
        self.norm1 = nn.LayerNorm(dim)
        self.q = GuidedLinear(dim, guidance_dim, dim)
        self.k = GuidedLinear(dim, guidance_dim, dim)
        self.v = nn.Linear(dim, dim)
        self.proj = nn.Linear(dim, dim)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))

    def forward(self, x: torch.Tensor, guidance: torch.Tensor) -> torch.Tensor:
        """The block's output.

        Args:
            x: (B, T, h, w, C).
            guidance: (B, 1, h, w, G).

        Returns:
            (B, T, h, w, C).
        """
        x = x + self.proj(self._attend(self.norm1(x), guidance))
        return x + self.mlp(self.norm2(x))

    def _attend(self, x: torch.Tensor, guidance: torch.Tensor) -> torch.Tensor:
        """Attention inside windows, (B, T, h, w, C) -> (B, T, h, w, C)."""
        grid = x.shape[2:4]
        fits = min(grid) <= self.window_size
        window, shift = (min(grid), 0) if fits else (self.window_size, self.shift)
        tokens, guide = (to_windows(y, window, shift) for y in (x, guidance))  # (B, T | 1, windows, window^2, C | G)
        mask = window_mask(grid, window, shift, x.device)
        q, k, v = (self._heads(y) for y in (self.q(tokens, guide), self.k(tokens, guide), self.v(tokens)))
        if mask is not None:
            mask = mask.repeat_interleave(self.num_heads, dim=0)  # (windows*heads, window^2, window^2)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)  # (B*T, windows*heads, window^2, c)
        y = y.unflatten(1, (-1, self.num_heads)).transpose(2, 3).flatten(3)  # (B*T, windows, window^2, C)
        return from_windows(y.unflatten(0, x.shape[:2]), grid, window, shift)

    def _heads(self, x: torch.Tensor) -> torch.Tensor:
        """(B, T, windows, window^2, C) -> (B*T, windows*heads, window^2, c)."""
        x = x.flatten(0, 1).unflatten(3, (self.num_heads, -1))  # (B*T, windows, window^2, heads, c)
        return x.transpose(2, 3).flatten(1, 2)  # (B*T, windows*heads, window^2, c)


def to_windows(x: torch.Tensor, window: int, shift: int) -> torch.Tensor:
    """Cut a map into windows, padded right and below and cyclically shifted.

    Args:
        x: (B, T, h, w, C).
        window: side of a window in tokens.
        shift: cyclic shift in tokens.

    Returns:
        (B, T, windows, window^2, C), rows of windows first.
    """
    x = F.pad(x, (0, 0, 0, -x.shape[3] % window, 0, -x.shape[2] % window))
    if shift:
        x = x.roll((-shift, -shift), dims=(2, 3))
    x = x.unflatten(3, (-1, window)).unflatten(2, (-1, window))  # (B, T, rows, window, columns, window, C)
    return x.transpose(3, 4).flatten(4, 5).flatten(2, 3)  # (B, T, windows, window^2, C)


def from_windows(x: torch.Tensor, grid: tuple[int, int], window: int, shift: int) -> torch.Tensor:
    """The inverse of `to_windows`.

    Args:
        x: (B, T, windows, window^2, C).
        grid: the map's (h, w).
        window: side of a window in tokens.
        shift: cyclic shift in tokens.

    Returns:
        (B, T, h, w, C).
    """
    columns = -(-grid[1] // window)
    x = x.unflatten(3, (window, window)).unflatten(2, (-1, columns))  # (B, T, rows, columns, window, window, C)
    x = x.transpose(3, 4).flatten(4, 5).flatten(2, 3)  # (B, T, rows*window, columns*window, C)
    if shift:
        x = x.roll((shift, shift), dims=(2, 3))
    return x[:, :, :grid[0], :grid[1]]


def window_mask(grid: tuple[int, int], window: int, shift: int, device: torch.device) -> torch.Tensor | None:
    """Who may see whom inside the windows: not across the border that the shift wraps around, and no padding.

    Args:
        grid: (h, w).
        window: side of a window in tokens.
        shift: cyclic shift in tokens.
        device: where the mask is made.

    Returns:
        (windows, window^2, window^2) bool; None where all may see all.
    """
    if not shift and not grid[0] % window and not grid[1] % window:
        return None
    rows, columns = (_regions(size, window, shift, device) for size in grid)
    regions = (4 * rows[:, None] + columns)[None, None, :, :, None]  # (1, 1, h', w', 1)
    regions = to_windows(regions, window, 0).flatten(0, 2).squeeze(-1)  # (windows, window^2)
    return regions[:, :, None] == regions[:, None, :]


def _regions(size: int, window: int, shift: int, device: torch.device) -> torch.Tensor:
    """The region 0..3 of each row after padding and shift: wrapped around or not, padding or not."""
    padded = size + -size % window
    row = (torch.arange(padded, device=device) + shift) % padded  # the row that the shift brings here
    return (row < shift).long() + 2 * (row >= size).long()
