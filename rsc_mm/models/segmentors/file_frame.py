"""From the network's pixels to those of the image file, by what mmseg keeps of a sample."""
import torch
from torch.nn import functional as F


def without_padding(image: torch.Tensor, meta: dict) -> torch.Tensor:
    """The pixels of the image itself.

    Args:
        image: (3, H, W), padded to the size of its batch.
        meta: mmseg's, with ``img_padding_size`` or ``padding_size`` (left, right, top, bottom), or without.

    Returns:
        (3, H', W').
    """
    left, right, top, bottom = meta.get('img_padding_size', meta.get('padding_size')) or (0, 0, 0, 0)
    return image[:, top:image.shape[1] - bottom, left:image.shape[2] - right]


def unflipped(scores: torch.Tensor, meta: dict) -> torch.Tensor:
    """Scores of a flipped image, flipped back.

    Args:
        scores: (T, H, W).
        meta: mmseg's, with ``flip`` and ``flip_direction``, or without.

    Returns:
        (T, H, W).
    """
    return scores.flip({'horizontal': 2, 'vertical': 1}[meta['flip_direction']]) if meta.get('flip') else scores


def to_file(scores: torch.Tensor, meta: dict) -> torch.Tensor:
    """Scores at the size of the image file, flipped back.

    Args:
        scores: (T, H, W) of an image without padding.
        meta: mmseg's, with ``ori_shape``.

    Returns:
        (T, *ori_shape).
    """
    size = tuple(meta['ori_shape'][:2])
    return F.interpolate(unflipped(scores, meta)[None], size, mode='bilinear', align_corners=False)[0]
