import math

import numpy as np
import pytest
import torch

from rsc_mm.utils.precision import full_precision
from rsc_mm.utils.regions import (
    boxes_to_network,
    cell_centres,
    cell_side,
    centred_cells,
    corners,
    crop_extent,
    expand_boxes,
    file_boxes,
    mask_extents,
    pool_masks,
    pool_regions,
    region_centres,
    resized_shape,
    segments_at,
    whole_cells,
)


def test_resized_shape():
    assert resized_shape((480, 640), 1024) == (768, 1024)
    assert resized_shape((427, 640), 320) == (214, 320)
    assert resized_shape((1, 1000), 10) == (1, 10)


def test_expand_boxes_about_the_centre_and_clip():
    boxes = torch.tensor([[10., 10., 20., 30.], [0., 0., 40., 8.]])
    expected = torch.tensor([[7.5, 5., 22.5, 35.], [0., 0., 50., 10.]])
    assert torch.equal(expand_boxes(boxes, 1.5, (40, 50)), expected)


def test_boxes_to_network_scales_each_axis():
    box = boxes_to_network(torch.tensor([[64., 48., 640., 480.]]), (480, 640), (214, 285))
    assert torch.allclose(box, torch.tensor([[28.5, 21.4, 285., 214.]]))


def slow_roi(feature, box):
    """RoIAlign to 1 x 1 by its definition: bilinear samples at the centres of a ceil(side) grid, half-cell aligned."""
    x1, y1, x2, y2 = (v - 0.5 for v in box)
    nx, ny = math.ceil(x2 - x1), math.ceil(y2 - y1)
    depth, height, width = feature.shape
    total = torch.zeros(depth, dtype=feature.dtype)
    for i in range(ny):
        for j in range(nx):
            y, x = y1 + (i + 0.5) * (y2 - y1) / ny, x1 + (j + 0.5) * (x2 - x1) / nx
            if not (-1 <= y <= height and -1 <= x <= width):
                continue
            y, x = max(y, 0.), max(x, 0.)
            top, left = min(int(y), height - 1), min(int(x), width - 1)
            y, x = (y if top < height - 1 else top), (x if left < width - 1 else left)
            bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
            dy, dx = y - top, x - left
            total += ((1 - dy) * (1 - dx) * feature[:, top, left] + (1 - dy) * dx * feature[:, top, right]
                      + dy * (1 - dx) * feature[:, bottom, left] + dy * dx * feature[:, bottom, right])
    return total / (nx * ny)


def test_pool_regions_against_slow_version():
    dense = torch.randn(2, 3, 5, 8, dtype=torch.float64)
    boxes = [torch.tensor([[0., 0., 128., 80.], [20., 9., 71., 33.]]), torch.tensor([[100., 3., 127., 79.]])]
    got = pool_regions(dense, boxes, 16)
    expected = [slow_roi(dense[b], (box / 16).tolist()) for b, group in enumerate(boxes) for box in group]
    assert torch.allclose(got, torch.stack(expected), atol=1e-6)


def test_pool_masks_is_the_mean_over_the_mask():
    dense = torch.arange(12.).reshape(1, 2, 2, 3)
    masks = [torch.tensor([[[1, 0, 0], [0, 0, 1]], [[0, 0, 0], [0, 0, 0]]])]
    assert torch.allclose(pool_masks(dense, masks), torch.tensor([[2.5, 8.5], [0., 0.]]))


def test_pool_masks_refuses_another_grid():
    with pytest.raises(ValueError, match=r'found a grid of \(3, 2\), expected \(2, 3\)'):
        pool_masks(torch.zeros(1, 2, 2, 3), [torch.ones(1, 3, 2)])


def test_pooling_is_float32_under_autocast_and_differentiable():
    dense = torch.randn(1, 4, 3, 3, dtype=torch.float64, requires_grad=True)
    boxes = [torch.tensor([[3., 4., 40., 45.]])]
    assert torch.autograd.gradcheck(lambda d: pool_regions(d, boxes, 16), dense)
    with torch.autocast('cpu', torch.bfloat16):
        assert pool_regions(dense.bfloat16(), boxes, 16).dtype == torch.float32
        assert pool_masks(dense.bfloat16(), [torch.ones(1, 3, 3)]).dtype == torch.float32


def test_no_region_keeps_the_gradient_graph():
    dense = torch.randn(1, 4, 3, 3, requires_grad=True)
    pool_regions(dense, [torch.zeros(0, 4)], 16).sum().backward()
    assert torch.equal(dense.grad, torch.zeros_like(dense))


def test_full_precision_turns_autocast_off_inside():
    @full_precision
    def product(a, b):
        return a @ b[0]

    with torch.autocast('cpu', torch.bfloat16):
        assert product(torch.ones(2, 2).bfloat16(), [torch.ones(2, 2)]).dtype == torch.float32
    assert product(torch.ones(2, 2).double(), [torch.ones(2, 2).double()]).dtype == torch.float64


def test_cells_at_the_border_of_the_image():
    # 87 x 128 pixels on patches of 8: ten rows are whole, of the eleventh 7 of 8 pixels are image.
    assert whole_cells((87, 128), 8) == (10, 16) and centred_cells((87, 128), 8) == (11, 16)
    assert centred_cells((83, 5), 8) == (10, 1) and whole_cells((83, 5), 8) == (10, 1)
    assert cell_side((427, 640), (214, 320), 8) == 16
    y, x = cell_centres((2, 3), 8)
    assert y.tolist() == [4, 12] and x.tolist() == [4, 12, 20]


def test_extent_of_a_crop_by_hand():
    assert crop_extent((30, 30), 64) == (0, 0, 64, 64)
    assert crop_extent((20, 40), 64) == (0, 16, 64, 48) and crop_extent((40, 10), 64) == (24, 0, 40, 64)


def test_centres_of_a_region_grid_by_hand():
    x, y = region_centres(torch.tensor([[10., 20, 14, 40]]), 2)
    assert x.tolist() == [[11, 13]] and y.tolist() == [[25, 35]]


def test_segments_at_the_centres_of_the_cells():
    picture = torch.arange(24).view(4, 6)
    boxes = torch.tensor([[0., 0., 6., 4.], [2., 1., 4., 3.]])
    assert segments_at(picture, boxes, 2).tolist() == [[7, 10, 19, 22], [8, 9, 14, 15]]


def test_boxes_of_files_and_of_masks_by_hand():
    assert corners(np.array([[1.5, 2, 10, 20]])).tolist() == [[1.5, 2, 11.5, 22]]
    assert file_boxes(corners(np.array([[1.5, 2, 10, 20]]))).tolist() == [[1.5, 2, 10, 20]]
    assert corners(np.zeros((0, 4))).shape == file_boxes(torch.zeros(0, 4)).shape == (0, 4)
    masks = torch.zeros(2, 5, 7, dtype=torch.bool)
    masks[0, 1:3, 2:6] = masks[1, 4, 6] = True
    assert mask_extents(masks).tolist() == [[2, 1, 6, 3], [6, 4, 7, 5]]
    assert mask_extents(masks[:0]).shape == (0, 4)
