import pytest
import torch
from torch.nn import functional as F

pytest.importorskip('mmcv._ext', reason="needs mmcv's operators")
pytest.importorskip('mmseg', reason='needs mmseg')
from rsc_mm.models.segmentors.file_frame import to_file, without_padding  # noqa: E402
from rsc_mm.models.segmentors.views import sliding_views, squashed_views, whole_view  # noqa: E402


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize('size', [(40, 56), (33, 61), (20, 30)])
def test_windows_and_their_mean_equal_a_slow_loop(size):
    """Every pixel looks for the windows that see it; the last of a row or column ends with the image."""
    image, side, step = draw(3, *size), 24, 16
    views = sliding_views(image, dict(crop_size=(side, side), stride=(step, step)))
    logits = [draw(2, 6, 6) + i for i in range(len(views.crops))]
    merged = views.merge(logits)
    corners, expected = [], torch.zeros(2, *size)
    for top in range(0, max(size[0] - side, 0) + step, step):
        for left in range(0, max(size[1] - side, 0) + step, step):
            corners.append((min(top, max(size[0] - side, 0)), min(left, max(size[1] - side, 0))))
    height, width = min(side, size[0]), min(side, size[1])
    for (top, left), crop in zip(corners, views.crops):
        assert torch.equal(crop, image[:, top:top + height, left:left + width])
    probabilities = [F.interpolate(x[None], (height, width), mode='bilinear')[0].sigmoid() for x in logits]
    for row in range(size[0]):
        for column in range(size[1]):
            seen = [p[:, row - top, column - left] for p, (top, left) in zip(probabilities, corners)
                    if 0 <= row - top < height and 0 <= column - left < width]
            expected[:, row, column] = torch.stack(seen).mean(0)
    torch.testing.assert_close(merged, expected, rtol=0, atol=1e-6)


def test_squash_has_four_windows_and_an_overview_of_half_the_weight():
    views = squashed_views(draw(3, 50, 90), dict(size=(640, 640), crop_size=(384, 384), stride=(256, 256)))
    assert [crop.shape for crop in views.crops] == [(3, 384, 384)] * 5 and views.size == (640, 640)
    starts = [(rows.start, columns.start) for rows, columns in views.places]
    assert starts == [(0, 0), (0, 256), (256, 0), (256, 256)]
    big, zero = torch.full((1, 96, 96), 50.), torch.zeros(1, 96, 96)
    merged = views.merge([big, zero, zero, zero, -big])
    # windows: 1 in the corner of the first alone, (1 + 1/2) / 2 where two overlap; overview: 0
    assert merged[0, 0, 0] == pytest.approx(0.5) and merged[0, 0, 300] == pytest.approx(0.375)
    assert merged[0, 639, 639] == pytest.approx(0.25)


def test_whole_is_one_view():
    views = whole_view(draw(3, 20, 30), {})
    logits = draw(4, 5, 8)
    expected = F.interpolate(logits[None], (20, 30), mode='bilinear')[0].sigmoid()
    torch.testing.assert_close(views.merge([logits]), expected)


@pytest.mark.parametrize(('direction', 'dim'), [('horizontal', 2), ('vertical', 1)])
def test_padding_flip_and_size_are_undone(direction, dim):
    image = draw(3, 10, 12)
    padded = F.pad(image, (1, 2, 3, 4))
    assert torch.equal(without_padding(padded, dict(img_padding_size=(1, 2, 3, 4))), image)
    assert torch.equal(without_padding(padded, dict(padding_size=[1, 2, 3, 4])), image)
    assert torch.equal(without_padding(image, {}), image)
    meta = dict(ori_shape=(20, 24), flip=True, flip_direction=direction)
    torch.testing.assert_close(to_file(image, meta), to_file(image, dict(ori_shape=(20, 24))).flip(dim))
