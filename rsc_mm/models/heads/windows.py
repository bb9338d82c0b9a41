"""Scores of large images from windows that overlap, or from the image as a whole."""
from collections.abc import Callable

import torch
from torch.nn import functional as F

Size = tuple[int, int]


def window_places(size: Size, window: Size, stride: Size) -> list[tuple[slice, slice]]:
    """Where windows lie: every ``stride`` pixels, the last of a row or column moved back to end with the image.

    Args:
        size: height and width of the image in pixels.
        window: height and width of a window; where it is larger than the image, it is as large as the image.
        stride: distance of windows, rows and columns.

    Returns:
        Rows and columns of each window.

    Raises:
        ValueError: a window or stride is not positive, or the stride leaves pixels out.
    """
    if min(*window, *stride) < 1 or stride[0] > window[0] or stride[1] > window[1]:
        raise ValueError(f'windows: found window {window} and stride {stride}, expected 1 <= stride <= window')
    rows, columns = ([slice(start, start + min(side, whole)) for start in _starts(whole, side, step)]
                     for whole, side, step in zip(size, window, stride))
    return [(row, column) for row in rows for column in columns]


def slide(score: Callable[[torch.Tensor], torch.Tensor], images: torch.Tensor, window: Size, stride: Size,
          patch_size: int, at_once: int = 32) -> torch.Tensor:
    """Scores of all pixels as the mean over the windows that see them.

    Args:
        score: crops (n, 3, h, w) -> scores of tokens (n, Q, h / patch_size, w / patch_size), rounded up.
        images: (B, 3, H, W).
        window: height and width of a window in pixels.
        stride: distance of windows, rows and columns.
        patch_size: pixels of a token's side.
        at_once: most crops that ``score`` gets at a time.

    Returns:
        (B, Q, H, W) float32.
    """
    places = window_places(tuple(images.shape[2:]), window, stride)
    crops = torch.cat([images[:, :, rows, columns] for rows, columns in places])
    maps = torch.cat([score(part) for part in crops.split(at_once)]).split(len(images))
    total = images.new_zeros(len(images), maps[0].shape[1], *images.shape[2:], dtype=torch.float)
    seen = torch.zeros_like(total[0, 0])
    for (rows, columns), scores in zip(places, maps):
        total[:, :, rows, columns] += upsample(scores, patch_size, crops.shape[2:])
        seen[rows, columns] += 1
    return total.div_(seen)


def upsample(scores: torch.Tensor, patch_size: int, size: Size) -> torch.Tensor:
    """Scores of tokens as scores of pixels, bilinear; what lies in the padding to whole patches is cut off.

    Args:
        scores: (n, Q, h, w).
        patch_size: pixels of a token's side.
        size: height and width in pixels before the padding.

    Returns:
        (n, Q, *size) float32.
    """
    scores = F.interpolate(scores.float(), scale_factor=patch_size, mode='bilinear', align_corners=False)
    return scores[:, :, :size[0], :size[1]]


def _starts(whole: int, side: int, step: int) -> list[int]:
    last = max(whole - side, 0)
    return [min(start, last) for start in range(0, last + step, step)]
