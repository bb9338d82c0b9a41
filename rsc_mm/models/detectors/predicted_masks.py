import torch
from torch.nn import functional as F

from rsc_mm.utils.regions import pool_masks


def label_pixels(classes: torch.Tensor, masks: torch.Tensor, shape: tuple[int, int],
                 size: tuple[int, int]) -> torch.Tensor:
    r"""Semantic segmentation by masks: :math:`\arg\max_c \sum_n f_{nc}\, \sigma(m_n)` (MaskFormer, sec. 3.4).

    Args:
        classes: probabilities of N masks, no object last (N, T+1).
        masks: their logits, with padding (N, H, W).
        shape: height and width of the image in it.
        size: those to reach.

    Returns:
        (*size,) int64 of 0..T-1.
    """
    inside = F.interpolate(masks[None, :, :shape[0], :shape[1]], size, mode='bilinear', align_corners=False)[0]
    return torch.einsum('nc,nhw->chw', classes[:, :-1], inside.float().sigmoid()).argmax(0)


def mask_features(dense: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    r"""Dense features of masks: the mean of unit vectors over the cells where the resized mask logit is positive.

    Args:
        dense: dense map (B, D, h, w).
        masks: mask logits at any size (B, N, H, W), -inf in the padding.

    Returns:
        (B, N, D), of any length.
    """
    batch, number = masks.shape[:2]
    lowest = torch.finfo(masks.dtype).min / 4  # interpolation of -inf is nan
    small = F.interpolate(masks.clamp(min=lowest), dense.shape[2:], mode='bilinear', align_corners=False).flatten(2)
    inside = small > 0
    best = F.one_hot(small.argmax(-1), small.shape[-1]).bool()
    inside = torch.where(inside.any(-1, keepdim=True), inside, best)
    inside = inside.view(batch, number, *dense.shape[2:])  # (B, N, h, w)
    pooled = pool_masks(F.normalize(dense.float(), dim=1), list(inside))
    return pooled.view(batch, number, -1)  # (B, N, D)
