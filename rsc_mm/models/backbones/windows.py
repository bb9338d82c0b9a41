"""Attention within windows of the image (CLIPSelf, table 7)."""
import torch
from torch import nn

from .blocks import run_block


def window_tokens(grid: tuple[int, int], windows: int, device: torch.device) -> list[torch.Tensor]:
    """The patch tokens of each window, windows of one shape together.

    Args:
        grid: height and width of the token grid.
        windows: windows along a side; where they do not divide the side, the first ones are a token longer.
        device: of the result.

    Returns:
        For each shape numbers (n, m) in 0..N-1: the m tokens of n windows, row by row.
    """
    tokens = torch.arange(grid[0] * grid[1], device=device).unflatten(0, grid)  # (h, w)
    parts = [part for row in tokens.tensor_split(windows, 0) for part in row.tensor_split(windows, 1) if part.numel()]
    shapes: dict[torch.Size, list[torch.Tensor]] = {part.shape: [] for part in parts}
    for part in parts:
        shapes[part.shape].append(part.flatten())
    return [torch.stack(group) for group in shapes.values()]


def run_in_windows(block: nn.Module, tokens: torch.Tensor, rope: torch.Tensor | None, groups: list[torch.Tensor],
                   num_prefix_tokens: int) -> torch.Tensor:
    """One block whose attention stays within windows; the prefix tokens are in every window, and are averaged after.

    Args:
        block: timm's block.
        tokens: (B, P+N, C).
        rope: rotary embedding (N, 2*head_dim) of the patch tokens, by their place in the whole image, or None.
        groups: see `window_tokens`.
        num_prefix_tokens: P.

    Returns:
        (B, P+N, C).
    """
    prefix, patches = tokens[:, :num_prefix_tokens], tokens[:, num_prefix_tokens:]
    merged, prefixes = torch.empty_like(patches), []
    for group in groups:
        count = len(group)
        inside = patches[:, group]  # (B, n, m, C)
        window = torch.cat([prefix[:, None].expand(-1, count, -1, -1), inside], dim=2).flatten(0, 1)  # (B*n, P+m, C)
        turns = None if rope is None else rope[group].repeat(len(tokens), 1, 1)[:, None]  # (B*n, 1, m, 2c)
        out = run_block(block, window, turns).unflatten(0, (-1, count))  # (B, n, P+m, C)
        prefixes.append(out[:, :, :num_prefix_tokens])
        merged = merged.index_copy(1, group.flatten(), out[:, :, num_prefix_tokens:].flatten(1, 2).to(merged))
    return torch.cat([torch.cat(prefixes, dim=1).mean(1).to(merged), merged], dim=1)
