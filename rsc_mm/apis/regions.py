"""Boxes and masks as users give them."""
import numpy as np

EXPECTED = 'expected boxes (K, 4) as x1, y1, x2, y2 in pixels, or boolean masks (K, H, W)'


def is_boxes(regions: np.ndarray) -> bool:
    """Whether regions are boxes: numbers in rows of four; else they are masks.

    Args:
        regions: (K, 4) or (4,), or (K, H, W) or (H, W).

    Raises:
        ValueError: neither.
    """
    if regions.dtype == bool and regions.ndim in (2, 3):
        return False
    if regions.ndim in (1, 2) and regions.shape[-1] in (0, 4) and np.issubdtype(regions.dtype, np.number):
        return True
    if regions.ndim == 3 and np.issubdtype(regions.dtype, np.integer):
        return False
    raise ValueError(f'regions: found shape {regions.shape} of {regions.dtype}, {EXPECTED}')


def check_boxes(boxes: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Boxes as (K, 4) float32.

    Args:
        boxes: (K, 4) or (4,).
        shape: height and width of the image.

    Raises:
        ValueError: a box is not finite, has no area, or lies outside the image.
    """
    boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
    (height, width), (x1, y1, x2, y2) = shape, boxes.T
    good = (x1 < x2) & (y1 < y2) & (x1 < width) & (y1 < height) & (x2 > 0) & (y2 > 0) & np.isfinite(boxes).all(axis=1)
    if not good.all():
        first = int(np.flatnonzero(~good)[0])
        raise ValueError(f'box {first}: found {boxes[first].tolist()}, expected x1 < x2 and y1 < y2 and a part of the '
                         f'image, whose width x height is {width} x {height}')
    return boxes


def check_masks(masks: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Masks as (K, H, W) bool.

    Args:
        masks: (K, H, W) or (H, W), bool or whole numbers 0 and 1.
        shape: height and width of the image.

    Raises:
        ValueError: another size, other values, or a mask without a pixel.
    """
    masks = masks if masks.ndim == 3 else masks[None]
    if masks.shape[1:] != tuple(shape):
        raise ValueError(f'masks: found {masks.shape[1:]}, expected the height and width of the image, {tuple(shape)}')
    if masks.dtype != bool and not np.isin(masks, (0, 1)).all():
        raise ValueError(f'masks: found values up to {masks.max()}, expected True and False, or 0 and 1')
    empty = np.flatnonzero(~masks.any(axis=(1, 2)))
    if len(empty):
        raise ValueError(f'mask {empty[0]}: found no pixel, expected at least one')
    return masks.astype(bool)
