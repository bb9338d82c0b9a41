import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.logging import MessageHub

from rsc_mm.utils.regions import grid_shape


def random_patches(batch: int, count: int, ratio: float) -> torch.Tensor:
    """The patches to mask in each image, drawn by the Runner's seed and iteration and the image's place in the batch.

    The place counts over all processes, so a resumed run repeats the draw, and processes with equally many images
    draw what one process with the joint batch does.

    Args:
        batch: images of this process.
        count: patches of an image.
        ratio: share to draw, at least one patch.

    Returns:
        Numbers (batch, n) in 0..count-1, without repetition in a row.
    """
    hub = MessageHub.get_current_instance()
    key = [int(hub.get_info('seed', 0) or 0), int(hub.get_info('iter', 0))]
    n = max(1, round(ratio * count))
    rows = [np.random.default_rng([get_rank() * batch + i, *key]).permutation(count)[:n] for i in range(batch)]
    return torch.from_numpy(np.array(rows, dtype=np.int64).reshape(batch, n))  # (B, n)


def hide(images: torch.Tensor, patches: torch.Tensor, patch_size: int) -> torch.Tensor:
    """Images whose given patches are 0, the mean colour.

    Args:
        images: normalised images (B, 3, H, W).
        patches: numbers (B, n) in the grid of ceil(H / patch_size) x ceil(W / patch_size), row by row.
        patch_size: in pixels.

    Returns:
        (B, 3, H, W).
    """
    height, width = images.shape[2:]
    h, w = grid_shape(images.shape[2:], patch_size)
    mask = torch.zeros(len(images), h * w, dtype=torch.bool, device=images.device)
    mask = mask.scatter(1, patches, True).unflatten(1, (1, h, w))  # (B, 1, h, w)
    pixels = mask.repeat_interleave(patch_size, 2).repeat_interleave(patch_size, 3)[:, :, :height, :width]
    return images.masked_fill(pixels, 0)
