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


def resize_bilinear(position: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
    """Bilinear without antialiasing: PE-Core.

    Args:
        position: (1, C, h0, w0).
        grid: the new height and width.

    Returns:
        (1, C, h, w).
    """
    return F.interpolate(position, grid, mode='bilinear', align_corners=False, antialias=False)


def resize_antialiased(position: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
    """Bicubic with antialiasing: timm, DINOv2 with registers.

    Args:
        position: (1, C, h0, w0).
        grid: the new height and width.

    Returns:
        (1, C, h, w).
    """
    return F.interpolate(position, grid, mode='bicubic', align_corners=False, antialias=True)


def resize_with_offset(position: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
    """Bicubic without antialiasing by a scale of (side + 0.1) / native side: DINO, DINOv2 without registers.

    The offset once kept the size from being rounded down; it shifts the sampling points, and the public weights were
    trained and are used with it.

    Args:
        position: (1, C, h0, w0).
        grid: the new height and width.

    Returns:
        (1, C, h, w).
    """
    scale = tuple((new + 0.1) / old for new, old in zip(grid, position.shape[2:]))
    return F.interpolate(position, scale_factor=scale, mode='bicubic', align_corners=False, antialias=False)


POSITION_RESIZES = {'bicubic': resize_bicubic, 'antialiased': resize_antialiased, 'offset': resize_with_offset}
