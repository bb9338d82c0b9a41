"""Absolute position embeddings on another grid than the native one: the flavours of the public implementations."""
import torch
from torch.nn import functional as F


def resize_bicubic(position: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
    """Bicubic without antialiasing: EVA-CLIP, CLIPSelf.

    Args:
        position: (1, C, h0, w0).
        grid: the new height and width.

    Returns:
        (1, C, h, w).
    """
    return F.interpolate(position, grid, mode='bicubic', align_corners=False, antialias=False)
