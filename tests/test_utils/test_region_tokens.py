import pytest
import torch

from rsc_mm.utils.regions import region_tokens
from tests.test_utils.test_regions import slow_roi


@pytest.mark.parametrize('size', [1, 3, (2, 4)])
def test_against_slow_version(size):
    # A cell of the region grid is RoIAligned to 1 x 1 on its own.
    dense = torch.randn(2, 3, 5, 8, dtype=torch.float64)
    boxes = [torch.tensor([[0., 0., 128., 80.], [20., 9., 71., 33.]]), torch.tensor([[100., 3., 127., 79.]])]
    rows, columns = (size, size) if isinstance(size, int) else size
    expected = []
    for b, group in enumerate(boxes):
        for x1, y1, x2, y2 in (group / 16).tolist():
            dx, dy = (x2 - x1) / columns, (y2 - y1) / rows
            cells = [(x1 + j * dx, y1 + i * dy, x1 + (j + 1) * dx, y1 + (i + 1) * dy)
                     for i in range(rows) for j in range(columns)]
            expected.append(torch.stack([slow_roi(dense[b], cell) for cell in cells]))
    got = region_tokens(dense, boxes, 16, size)
    assert got.shape == (3, rows * columns, 3)
    assert torch.allclose(got, torch.stack(expected), atol=1e-6)


def test_the_whole_map_at_its_own_grid_is_the_map():
    dense = torch.randn(2, 4, 3, 5)
    got = region_tokens(dense, [torch.tensor([[0., 0., 80., 48.]])] * 2, 16, (3, 5))
    assert torch.allclose(got, dense.flatten(2).transpose(1, 2), atol=1e-6)


def test_differentiable_and_float32_under_autocast():
    dense = torch.randn(1, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    boxes = [torch.tensor([[3., 4., 40., 45.]])]
    assert torch.autograd.gradcheck(lambda d: region_tokens(d, boxes, 16, 2), dense)
    with torch.autocast('cpu', torch.bfloat16):
        assert region_tokens(dense.bfloat16(), boxes, 16, 2).dtype == torch.float32


@pytest.mark.parametrize('images', [0, 2])
def test_no_region_and_no_image_keep_the_gradient_graph(images):
    dense = torch.randn(images, 4, 3, 3, requires_grad=True)
    got = region_tokens(dense, [torch.zeros(0, 4)] * images, 16, 7)
    got.sum().backward()
    assert got.shape == (0, 49, 4) and torch.equal(dense.grad, torch.zeros_like(dense))
