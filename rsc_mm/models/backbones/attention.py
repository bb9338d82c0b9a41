"""Which attention kernel a block runs."""
import torch
from torch import nn

PLAIN_UP_TO = 600
"""Tokens up to which the N x N matrices that plain attention keeps for the backward pass are small: 0.3 GB for the
twelve blocks of a ViT-B/16 at 577 tokens (384 px)."""


def choose_kernel(attn: nn.Module, tokens: torch.Tensor) -> None:
    """Sets timm's ``fused_attn``: plain matrix products where they are faster and small, else torch's fused attention.

    On a CPU in bfloat16 the backward pass of the fused kernel is slow: with 197 tokens plain products take 0.57 of its
    time, with 577 tokens 0.7 (docs/benchmark.md). In float32, and on a GPU, the fused kernel is the faster one.

    Args:
        attn: timm's attention; a module without the choice is left as it is.
        tokens: its input (B, N, C).
    """
    if hasattr(attn, 'fused_attn'):
        half = tokens.device.type == 'cpu' and computing_dtype(tokens) == torch.bfloat16
        # The length is asked last: an export in float32 is then not tied to short or long inputs.
        attn.fused_attn = not (half and tokens.shape[1] <= PLAIN_UP_TO)


def computing_dtype(x: torch.Tensor) -> torch.dtype:
    """The dtype of matrix products with a tensor: that of the autocast, or its own.

    Args:
        x: a tensor.
    """
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype
