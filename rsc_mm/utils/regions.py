"""Regions and their coordinate frames: the only place that converts coordinates.

Frames: *original* pixels of the image file; *network* pixels of the resized and padded input; *grid* cells of the
token map, ``patch_size`` network pixels each. Boxes are (x1, y1, x2, y2); sizes are (height, width).
"""
import numpy as np
import torch
from torchvision.ops import box_convert, roi_align

from .precision import full_precision


def resized_shape(shape: tuple[int, int], longest: int) -> tuple[int, int]:
    """The size whose longest side is ``longest``, aspect kept, each side rounded and at least 1.

    Args:
        shape: height and width in pixels.
        longest: longest side after resizing, in pixels.
    """
    scale = longest / max(shape)
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))


def grid_shape(shape: tuple[int, int], patch_size: int) -> tuple[int, int]:
    """Height and width of the token grid; the last cells may be padded.

    Args:
        shape: height and width in network pixels.
        patch_size: network pixels of one grid cell.
    """
    # Not -(-side // patch_size): ONNX divides towards 0, and an exported tower would be a row short.
    return (shape[0] + patch_size - 1) // patch_size, (shape[1] + patch_size - 1) // patch_size


def corners(xywh: np.ndarray) -> torch.Tensor:
    """Boxes of an annotation file, (x, y, width, height), as (x1, y1, x2, y2).

    Args:
        xywh: (K, 4).

    Returns:
        (K, 4) of the same type.
    """
    return box_convert(torch.from_numpy(xywh), 'xywh', 'xyxy')


def file_boxes(boxes: torch.Tensor) -> torch.Tensor:
    """Boxes (x1, y1, x2, y2) as annotation files have them, (x, y, width, height): undoes `corners`.

    Args:
        boxes: (K, 4).

    Returns:
        (K, 4) of the same type.
    """
    return box_convert(boxes, 'xyxy', 'xywh')


def mask_extents(masks: torch.Tensor) -> torch.Tensor:
    """Boxes around the pixels of masks, in pixels of the masks: the last one lies inside.

    Args:
        masks: (K, H, W) bool, none of them empty.

    Returns:
        (K, 4) float64.
    """
    extents = []
    for occupied in (masks.any(1), masks.any(2)):  # columns, then rows
        size = occupied.shape[1]
        occupied = occupied.byte()
        extents.append((occupied.argmax(1), size - occupied.flip(1).argmax(1)))
    (x1, x2), (y1, y2) = extents
    return torch.stack([x1, y1, x2, y2], dim=1).double()  # (K, 4)


def expand_boxes(boxes: torch.Tensor, factor: float, shape: tuple[int, int]) -> torch.Tensor:
    """Boxes scaled about their centres and clipped to the image.

    Args:
        boxes: (K, 4) in the pixels of ``shape``.
        factor: ratio of new to old side.
        shape: height and width of the image.

    Returns:
        (K, 4).
    """
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]) / 2 * factor
    limit = boxes.new_tensor([shape[1], shape[0]] * 2)
    return torch.cat([centre - half, centre + half], dim=1).clamp(min=0).minimum(limit)  # (K, 4)


def pixel_boxes(boxes: torch.Tensor, shape: tuple[int, int]) -> list[list[int]]:
    """Boxes rounded half to even as PIL's crop does, clipped to the image, at least one pixel in size.

    Args:
        boxes: (K, 4) in original pixels.
        shape: height and width of the image.

    Returns:
        K lists [x1, y1, x2, y2].
    """
    limit = torch.tensor([shape[1], shape[0]])
    first = boxes[:, :2].cpu().round().long().clamp(min=0).minimum(limit - 1)
    last = boxes[:, 2:].cpu().round().long().minimum(limit).maximum(first + 1)
    return torch.cat([first, last], dim=1).tolist()


def crop_extent(shape: tuple[int, int], crop_size: int) -> tuple[int, int, int, int]:
    """Where the picture lies in its square crop, whose padding is the same on both sides.

    Args:
        shape: height and width of what is cut out.
        crop_size: side of the crop in pixels.

    Returns:
        (x1, y1, x2, y2) in pixels of the crop.
    """
    height, width = resized_shape(shape, crop_size)
    top, left = (crop_size - height) // 2, (crop_size - width) // 2
    return left, top, left + width, top + height


def boxes_to_network(boxes: torch.Tensor, original: tuple[int, int], resized: tuple[int, int]) -> torch.Tensor:
    """Boxes from original to network pixels; padding lies right and below, so it does not move them.

    Args:
        boxes: (K, 4) in original pixels.
        original: height and width of the image file.
        resized: height and width after resizing, before padding.

    Returns:
        (K, 4) in network pixels.
    """
    scale = boxes.new_tensor([resized[1] / original[1], resized[0] / original[0]] * 2)
    return boxes * scale


def whole_cells(resized: tuple[int, int], patch_size: int) -> tuple[int, int]:
    """Rows and columns of the grid that lie in the image as a whole; what follows is partly or all padding.

    Args:
        resized: height and width after resizing, before padding.
        patch_size: network pixels of one grid cell.

    Returns:
        At least one of each, of an image thinner than a patch too.
    """
    return max(1, resized[0] // patch_size), max(1, resized[1] // patch_size)


def centred_cells(resized: tuple[int, int], patch_size: int) -> tuple[int, int]:
    """Rows and columns of the grid whose centre lies in the image, not in the padding.

    Args:
        resized: height and width after resizing, before padding.
        patch_size: network pixels of one grid cell.
    """
    return int(resized[0] / patch_size + 0.5), int(resized[1] / patch_size + 0.5)


def cell_side(original: tuple[int, int], resized: tuple[int, int], patch_size: int) -> float:
    """Side of a grid cell in original pixels.

    Args:
        original: height and width of the image file.
        resized: height and width after resizing, before padding.
        patch_size: network pixels of one grid cell.
    """
    return original[1] / resized[1] * patch_size


def cell_centres(grid: tuple[int, int], patch_size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """y (h,) and x (w,) of the centres of the cells, in network pixels.

    Args:
        grid: h and w.
        patch_size: network pixels of one grid cell.
    """
    y, x = ((torch.arange(side) + 0.5) * patch_size for side in grid)
    return y, x


def token_at(point: tuple[float, float], original: tuple[int, int], resized: tuple[int, int],
             patch_size: int) -> tuple[int, int]:
    """The token under a pixel of the image file.

    Args:
        point: x and y in original pixels, whole numbers at their centres.
        original: height and width of the image file.
        resized: height and width after resizing, before padding.
        patch_size: network pixels of one grid cell.

    Returns:
        Row and column on the grid.

    Raises:
        ValueError: the point is not in the image.
    """
    (x, y), (height, width) = point, original
    if not (0 <= x < width and 0 <= y < height):
        raise ValueError(f'point: found x,y = {x:g},{y:g}, expected x in 0..{width - 1} and y in 0..{height - 1} for '
                         f'the image of width x height {width} x {height}')
    # A box without extent, in the frame where pixel 0 reaches from 0 to 1.
    box = boxes_to_network(torch.tensor([[x + 0.5, y + 0.5] * 2], dtype=torch.double), original, resized)
    column, row = (box[0, :2] // patch_size).long().tolist()
    return row, column


def region_centres(boxes: torch.Tensor, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """x and y (K, size) of the centres of the cells of a region grid, in the frame of the boxes.

    Args:
        boxes: (K, 4).
        size: side of the region grid.
    """
    centres = (torch.arange(size, device=boxes.device) + 0.5) / size
    x, y = (boxes[:, None, i] + centres * (boxes[:, i + 2] - boxes[:, i])[:, None] for i in (0, 1))
    return x, y


def segments_at(segmentation: torch.Tensor, boxes: torch.Tensor, size: int) -> torch.Tensor:
    """The segment at the centre of every cell of a region grid.

    Args:
        segmentation: the segment of every pixel (H, W), whole numbers.
        boxes: (K, 4) in pixels of the segmentation.
        size: side of the region grid.

    Returns:
        (K, size^2), row by row.
    """
    x, y = region_centres(boxes, size)
    x, y = x.long().clamp(0, segmentation.shape[1] - 1), y.long().clamp(0, segmentation.shape[0] - 1)
    return segmentation[y[:, :, None], x[:, None, :]].flatten(1)  # (K, size^2)


@full_precision
def pool_regions(dense: torch.Tensor, boxes: list[torch.Tensor], patch_size: int) -> torch.Tensor:
    r"""One feature per region: RoIAlign to 1 x 1 (CLIPSelf, sec. 3.2), in float32.

    Sampling points: ``ceil`` of the region's side in cells (ratio 0), half-cell aligned. The mean of unit vectors is
    shorter than 1; it is not normalised again.

    Args:
        dense: maps (B, D, h, w).
        boxes: for each of the B images (K_i, 4) in network pixels.
        patch_size: network pixels of one grid cell.

    Returns:
        (sum K_i, D).
    """
    return pool_numbered_regions(dense, _number(dense, boxes), patch_size)


@full_precision
def pool_numbered_regions(dense: torch.Tensor, numbered: torch.Tensor, patch_size: int) -> torch.Tensor:
    """`pool_regions` of boxes that are in one tensor already, for what is traced.

    Args:
        dense: maps (B, D, h, w).
        numbered: the image's number in the batch and the box in network pixels (K, 5).
        patch_size: network pixels of one grid cell.

    Returns:
        (K, D).
    """
    return _roi_align(dense, numbered, patch_size, 1).flatten(1)  # (K, D)


@full_precision
def region_tokens(dense: torch.Tensor, boxes: list[torch.Tensor], patch_size: int,
                  size: int | tuple[int, int]) -> torch.Tensor:
    r"""The tokens of every region: RoIAlign to ``size`` (R-SC, eq. 2), in float32, sampled as in `pool_regions`.

    Args:
        dense: maps (B, D, h, w).
        boxes: for each of the B images (K_i, 4) in network pixels.
        patch_size: network pixels of one grid cell.
        size: the region grid, one side or height and width.

    Returns:
        (sum K_i, L, D), L the cells of the region grid, row by row.
    """
    return _roi_align(dense, _number(dense, boxes), patch_size, size).flatten(2).transpose(1, 2)  # (sum K, L, D)


@full_precision
def pool_masks(dense: torch.Tensor, masks: list[torch.Tensor]) -> torch.Tensor:
    r"""One feature per mask, its mean: :math:`z = \sum_p m_p f_p / (\sum_p m_p + 10^{-12})`, in float32.

    Like `pool_regions` it does not normalise; an empty mask gives 0.

    Args:
        dense: maps (B, D, h, w).
        masks: for each of the B images (K_i, h, w), bool or weights, on the grid.

    Returns:
        (sum K_i, D).

    Raises:
        ValueError: a mask's grid is not the map's.
    """
    pooled = []
    for features, mask in zip(dense, masks):
        if mask.shape[1:] != features.shape[1:]:
            raise ValueError(f'masks: found a grid of {tuple(mask.shape[1:])}, expected {tuple(features.shape[1:])}')
        weight = mask.to(features).flatten(1)  # (K_i, N)
        pooled.append(weight @ features.flatten(1).t() / (weight.sum(1, keepdim=True) + 1e-12))  # (K_i, D)
    return torch.cat(pooled)


def _number(dense: torch.Tensor, boxes: list[torch.Tensor]) -> torch.Tensor:
    """Boxes of B images, each with its image's number in front (sum K_i, 5)."""
    # One tensor, since a list of no image at all cannot be concatenated.
    rows = [torch.cat([b.new_full((len(b), 1), i), b], dim=1) for i, b in enumerate(boxes)]  # (K_i, 5)
    return torch.cat([dense.new_zeros(0, 5), *(r.to(dense) for r in rows)])


def _roi_align(dense: torch.Tensor, numbered: torch.Tensor, patch_size: int,
               size: int | tuple[int, int]) -> torch.Tensor:
    return roi_align(dense, numbered, size, 1 / patch_size, sampling_ratio=0, aligned=True)  # (K, D, *size)
