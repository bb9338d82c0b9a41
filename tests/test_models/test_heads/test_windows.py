import pytest
import torch
from torch.nn import functional as F

from rsc_mm.models.heads import slide, upsample, window_places
from tests.towers import tiny_eva, tiny_vit


def corners(*args) -> list[tuple[int, int, int, int]]:
    return [(rows.start, rows.stop, columns.start, columns.stop) for rows, columns in window_places(*args)]


def test_places_by_hand():
    assert corners((5, 7), (4, 4), (3, 3)) == [(0, 4, 0, 4), (0, 4, 3, 7), (1, 5, 0, 4), (1, 5, 3, 7)]
    assert corners((3, 9), (4, 4), (4, 4)) == [(0, 3, 0, 4), (0, 3, 4, 8), (0, 3, 5, 9)]
    assert corners((4, 4), (4, 4), (2, 2)) == [(0, 4, 0, 4)]
    assert corners((2, 3), (8, 8), (4, 4)) == [(0, 2, 0, 3)]


@pytest.mark.parametrize('size', [(448, 597), (336, 336), (300, 1000), (337, 449)])
def test_places_are_those_of_mmseg(size):
    window, stride, expected = (336, 336), (112, 112), []
    for y in range(max(size[0] - 336 + 111, 0) // 112 + 1):
        for x in range(max(size[1] - 336 + 111, 0) // 112 + 1):
            bottom, right = min(y * 112 + 336, size[0]), min(x * 112 + 336, size[1])
            expected.append((max(bottom - 336, 0), bottom, max(right - 336, 0), right))
    assert corners(size, window, stride) == expected


@pytest.mark.parametrize('window, stride', [((4, 4), (5, 4)), ((4, 4), (0, 1))])
def test_a_stride_that_leaves_pixels_out_is_refused(window, stride):
    with pytest.raises(ValueError, match='expected 1 <= stride <= window'):
        window_places((9, 9), window, stride)


def test_upsampling_keeps_tokens_over_their_patches():
    """A token is the value at its patch's centre; the padding of a 10 px image to 12 px is cut off, not squeezed."""
    scores = torch.arange(3.).view(1, 1, 1, 3)  # (1, 1, 1, 3)
    found = upsample(scores, 4, (3, 10))
    assert found.shape == (1, 1, 3, 10)
    torch.testing.assert_close(found[0, 0, 0], (torch.arange(10) / 4 - 0.375).clamp(0, 2))


def test_a_constant_stays_and_overlaps_are_averaged():
    images = torch.zeros(1, 3, 8, 12)
    images[:, :, :, 6:] = 1
    seen = []

    def mean_of_crop(crops):
        seen.append(len(crops))
        return crops[:, :1].mean(dim=(2, 3), keepdim=True).expand(-1, 2, 2, 2)
    found = slide(mean_of_crop, images, (8, 8), (4, 4), 4, at_once=1)
    assert seen == [1, 1] and found.shape == (1, 2, 8, 12)
    assert found[0, 1, 0].tolist() == [0.25] * 4 + [0.5] * 4 + [0.75] * 4


@pytest.mark.parametrize('tower, size', [(tiny_eva, (80, 112)), (tiny_vit, (70, 50))])
def test_a_batch_is_what_its_images_are_alone(tower, size):
    tower, generator = tower(), torch.Generator().manual_seed(0)
    images = torch.randn(3, 3, *size, generator=generator)
    together = slide(tower.encode_dense, images, (64, 64), (32, 32), 16)
    alone = [slide(tower.encode_dense, image[None], (64, 64), (32, 32), 16) for image in images]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-5, rtol=1e-5)


def test_a_window_as_large_as_the_image_is_the_whole():
    tower, images = tiny_eva(), torch.randn(2, 3, 72, 100, generator=torch.Generator().manual_seed(0))
    found = slide(tower.encode_dense, images, (100, 100), (50, 50), 16)
    padded = F.interpolate(tower.encode_dense(images), scale_factor=16, mode='bilinear')[:, :, :72, :100]
    torch.testing.assert_close(found, padded)
