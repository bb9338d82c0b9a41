import pytest
import torch
from mmengine.logging import MessageHub
from PIL import Image
from torch.nn import functional as F
from torchvision.transforms import functional as tv

from rsc_mm.datasets import RegionDataset, RegionSample, region_collate
from rsc_mm.models.region_preprocessor import (
    CLIP_MEAN,
    CLIP_STD,
    RegionPreprocessor,
    pixel_boxes,
    resize_float,
    resize_pil,
)
from tests.test_datasets.toy import SHARED_COCO, random_image

SHAPES = [(60, 80), (97, 41), (33, 33), (200, 301)]


def item(shape: tuple[int, int], boxes: list | None = None, masks: torch.Tensor | None = None, seed: int = 0) -> dict:
    """A raw item with some boxes, fractional ones too."""
    h, w = shape
    if boxes is None:
        boxes = [[0, 0, w, h], [1.5, 2.5, 20.5, 17.2], [w / 3, h / 7, w / 2, h], [0.6, 0.6, 0.9, h]]
    boxes = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)  # (K, 4)
    fields = {} if masks is None else {'masks': masks}
    sample = RegionSample(metainfo={'img_id': seed, 'ori_shape': shape}, boxes=boxes, crop_boxes=boxes, **fields)
    return {'inputs': torch.from_numpy(random_image(h, w, seed)).permute(2, 0, 1), 'data_samples': sample}


def batch(*shapes: tuple[int, int]) -> dict:
    return region_collate([item(shape, seed=i) for i, shape in enumerate(shapes)])


def pixels(images: torch.Tensor) -> torch.Tensor:
    """Undoes the normalisation, to units of 1 / 255."""
    return (images * torch.tensor(CLIP_STD).view(3, 1, 1) + torch.tensor(CLIP_MEAN).view(3, 1, 1)) * 255


def pil_reference(image: Image.Image, size: int, centred: bool) -> torch.Tensor:
    """Resize, pad, to_tensor, normalise, all through PIL and torchvision."""
    scale = size / max(image.size)
    width, height = (max(1, round(side * scale)) for side in image.size)
    left, top = ((size - width) // 2, (size - height) // 2) if centred else (0, 0)
    # Rows first, as every Pillow before 13 does.
    rows = image.resize((width, image.height), Image.Resampling.BICUBIC)
    padded = tv.pad(rows.resize((width, height), Image.Resampling.BICUBIC),
                    [left, top, size - width - left, size - height - top])
    return tv.normalize(tv.to_tensor(padded), CLIP_MEAN, CLIP_STD)


@pytest.mark.parametrize('shape', SHAPES)
@pytest.mark.parametrize('backend, tolerance', [('pil', 1e-3), ('tensor', 2.01)])
def test_images_and_crops_are_those_of_pil(shape: tuple[int, int], backend: str, tolerance: float) -> None:
    data = batch(shape)
    result = RegionPreprocessor(128, 48, 16, backend=backend)(data)
    image = Image.fromarray(data['inputs'][0].permute(1, 2, 0).numpy())
    expected = pil_reference(image, 128, False)
    assert (pixels(result['images'][0]) - pixels(expected)).abs().max() <= tolerance
    boxes = pixel_boxes(data['data_samples'][0].crop_boxes, shape)
    crops = torch.stack([pil_reference(image.crop(box), 48, True) for box in boxes])
    assert (pixels(result['crops']) - pixels(crops)).abs().max() <= tolerance


@pytest.mark.skipif(not SHARED_COCO.is_dir(), reason='needs ../shared/coco_mini')
def test_tensor_is_within_two_of_pil_on_real_images() -> None:
    dataset = RegionDataset({'type': 'GridRegions'}, img_prefix=str(SHARED_COCO / 'val2017'))
    data = region_collate([dataset[i] for i in range(0, 50, 6)])
    tensor, pil = (RegionPreprocessor(512, 224, 16, backend=b)(data) for b in ('tensor', 'pil'))
    for key in ('images', 'crops'):
        assert (pixels(tensor[key]) - pixels(pil[key])).abs().max() < 2.01


def test_float_path_of_the_gpu_agrees() -> None:
    for contrast in (1, 8):  # overshoot is clipped between the passes
        image = ((random_image(90, 70).astype(int) - 128) * contrast + 128).clip(0, 255).astype('uint8')
        image = torch.from_numpy(image).permute(2, 0, 1)
        for size in ((128, 100), (31, 24), (32, 7)):
            assert (resize_float(image.float(), size) - resize_pil(image, size)).abs().max() <= 1


def test_plain_pil_is_met_where_its_passes_have_the_same_order() -> None:
    image = random_image(60, 80)
    for size in ((96, 128), (30, 40)):
        plain = Image.fromarray(image).resize(size[::-1], Image.Resampling.BICUBIC)
        resized = resize_pil(torch.from_numpy(image).permute(2, 0, 1), size)
        assert torch.equal(resized, tv.pil_to_tensor(plain))


def test_square_layout_pads_right_and_below_with_black() -> None:
    images = pixels(RegionPreprocessor(64, None, 16)(batch((30, 60), (60, 30)))['images'])
    assert images.shape == (2, 3, 64, 64)
    assert images[0, :, 32:].abs().max() < 1e-4 < images[0, :, :32].max()
    assert images[1, :, :, 32:].abs().max() < 1e-4 < images[1, :, :, :32].max()


def test_crops_are_centred() -> None:
    data = region_collate([item((60, 60), [[0, 0, 60, 20], [0, 0, 20, 60]])])
    crops = pixels(RegionPreprocessor(64, 48, 16)(data)['crops'])
    assert crops[0, :, :16].abs().max() < 1e-4 and crops[0, :, 32:].abs().max() < 1e-4
    assert crops[1, :, :, :16].abs().max() < 1e-4 and crops[1, :, :, 32:].abs().max() < 1e-4
    assert crops[0, :, 16:32].mean() > 50 < crops[1, :, :, 16:32].mean()


def test_rectangle_layout_pads_to_patches_and_the_largest_image_only() -> None:
    layout = RegionPreprocessor(64, None, 16, layout='rectangle')
    assert layout(batch((40, 60)))['images'].shape == (1, 3, 48, 64)
    assert layout(batch((40, 60), (20, 60)))['images'].shape == (2, 3, 48, 64)
    assert layout(batch((20, 60), (60, 20)))['images'].shape == (2, 3, 64, 64)
    square = RegionPreprocessor(64, None, 16)(batch((40, 60)))['images']
    torch.testing.assert_close(layout(batch((40, 60)))['images'], square[:, :, :48], rtol=0, atol=0)


def test_boxes_are_scaled_by_the_true_size() -> None:
    boxes = RegionPreprocessor(64, None, 16)(batch((30, 40)))['boxes'][0]
    torch.testing.assert_close(boxes[1], torch.tensor([1.5, 2.5, 20.5, 17.2]) * 1.6)
    # 33 x 100 -> 21 x 64: the height's scale is 21 / 33, not 64 / 100.
    boxes = RegionPreprocessor(64, None, 16)(region_collate([item((33, 100), [[0, 0, 100, 33]])]))['boxes'][0]
    torch.testing.assert_close(boxes, torch.tensor([[0., 0, 64, 21]]))


def test_masks_on_the_grid() -> None:
    masks = torch.zeros(2, 32, 64, dtype=torch.uint8)
    masks[0, :16, :32] = 1
    masks[1, 16:, 48:] = 1
    grid = RegionPreprocessor(64, None, 16)(region_collate([item((32, 64), [[0, 0, 9, 9]] * 2, masks)]))['masks']
    assert grid[0].dtype == torch.bool and grid[0].shape == (2, 4, 4)
    assert grid[0].int().tolist() == [[[1, 1, 0, 0]] + [[0] * 4] * 3, [[0] * 4, [0, 0, 0, 1], [0] * 4, [0] * 4]]


def test_masks_are_the_thresholded_bicubic_ones() -> None:
    masks = (torch.rand(5, 60, 45, generator=torch.manual_seed(0)) > 0.8).byte()
    result = RegionPreprocessor(96, None, 16, layout='rectangle')(
        region_collate([item((60, 45), [[0, 0, 9, 9]] * 5, masks)]))
    assert result['images'].shape[2:] == (96, 80)
    expected = torch.zeros(5, 6, 5, dtype=torch.bool)
    for k in range(5):
        expected[k, :6, :4] = F.interpolate(masks[k][None, None].float(), (6, 4), mode='bicubic')[0, 0] > 0
    assert torch.equal(result['masks'][0], expected)


def test_masks_by_the_covered_share() -> None:
    """The share of a cell that a mask covers, by hand: whole, 3/4, half and a quarter of a cell of 4 x 4 pixels."""
    masks = torch.zeros(1, 4, 16, dtype=torch.uint8)
    for cell, columns in enumerate((4, 3, 2, 1)):
        masks[0, :, 4 * cell:4 * cell + columns] = 1
    for share, expected in ((0, [1, 1, 1, 1]), (0.25, [1, 1, 1, 0]), (0.5, [1, 1, 0, 0]), (0.9, [1, 0, 0, 0])):
        preprocessor = RegionPreprocessor(64, None, 16, layout='rectangle', mask_coverage=share)
        grid = preprocessor(region_collate([item((4, 16), [[0, 0, 9, 4]], masks)]))['masks'][0]
        assert grid.dtype == torch.bool and grid.int().tolist() == [[expected]]
    dot = torch.zeros(1, 4, 16, dtype=torch.uint8)
    dot[0, 0, 0] = 1
    assert not preprocessor(region_collate([item((4, 16), [[0, 0, 9, 4]], dot)]))['masks'][0].any()


def at_iteration(i: int, **options: object) -> dict:
    MessageHub.get_current_instance().update_info('iter', i)
    preprocessor = RegionPreprocessor(128, None, 16, multiscale=(64, 96, 128), **options)
    return preprocessor(batch((60, 80)), training=True)


def test_multiscale_resizes_the_normalised_batch_and_its_boxes() -> None:
    try:
        drawn = [at_iteration(i) for i in range(30)]
        again = [at_iteration(i) for i in range(30)]
        rectangle = [at_iteration(i, layout='rectangle') for i in range(30)]
    finally:
        MessageHub.get_current_instance().update_info('iter', 0)
    plain = RegionPreprocessor(128, None, 16)(batch((60, 80)))
    sides = [result['images'].shape[2] for result in drawn]
    assert set(sides) == {64, 96, 128} and sides == [result['images'].shape[2] for result in again]
    assert {tuple(r['images'].shape[2:]) for r in rectangle} == {(48, 64), (64, 96), (96, 128)}
    for side, result in zip(sides, drawn):
        expected = F.interpolate(plain['images'], (side, side), mode='bilinear')
        torch.testing.assert_close(result['images'], expected, rtol=0, atol=1e-5)
        torch.testing.assert_close(result['boxes'][0], plain['boxes'][0] * side / 128)


def test_multiscale_does_nothing_in_evaluation() -> None:
    assert RegionPreprocessor(128, None, 16, multiscale=(64, ))(batch((60, 80)))['images'].shape[2] == 128


def test_no_region_and_no_image() -> None:
    preprocessor = RegionPreprocessor(64, 32, 16)
    result = preprocessor(region_collate([item((30, 40), [], torch.zeros(0, 30, 40, dtype=torch.uint8))]))
    assert result['crops'].shape == (0, 3, 32, 32) and result['boxes'][0].shape == (0, 4)
    assert result['masks'][0].shape == (0, 4, 4)
    for layout in ('square', 'rectangle'):
        empty = RegionPreprocessor(64, 32, 16, layout=layout, multiscale=(32, ))(region_collate([None]), training=True)
        assert empty['images'].shape[0] == 0 == len(empty['boxes']) and empty['crops'].shape == (0, 3, 32, 32)


def test_input_is_not_changed() -> None:
    data = batch((60, 80))
    before = data['inputs'][0].clone()
    RegionPreprocessor(80, 32, 16)(data)
    assert torch.equal(data['inputs'][0], before)


def test_normalisation_is_that_of_to_tensor() -> None:
    image = random_image(64, 64)
    data = {'inputs': [torch.from_numpy(image).permute(2, 0, 1)], 'data_samples': [item((64, 64))['data_samples']]}
    expected = tv.normalize(tv.to_tensor(image), CLIP_MEAN, CLIP_STD)
    torch.testing.assert_close(RegionPreprocessor(64, None, 16)(data)['images'][0], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize('box, expected', [
    ([1.5, 2.5, 3.5, 4.49], [2, 2, 4, 4]),  # half to even
    ([-3, -2, 99, 88], [0, 0, 40, 30]),
    ([5.1, 6.2, 5.3, 6.3], [5, 6, 6, 7]),  # at least one pixel
    ([50, 40, 60, 50], [39, 29, 40, 30]),
])
def test_pixel_boxes(box: list, expected: list) -> None:
    assert pixel_boxes(torch.tensor([box]), (30, 40)) == [expected]


@pytest.mark.parametrize('options, message', [
    ({'layout': 'oval'}, r"RegionPreprocessor\.layout: found 'oval', expected one of \['rectangle', 'square'\]"),
    ({'backend': 'cv2'}, r"RegionPreprocessor\.backend: found 'cv2', expected one of \['pil', 'tensor'\]"),
    ({'image_size': 100}, r'RegionPreprocessor\.image_size: found 100, expected a multiple of the patch size 16'),
    ({'multiscale': (64, 100)}, r'RegionPreprocessor\.multiscale: found 100, expected a multiple'),
    ({'mask_coverage': 1}, r'RegionPreprocessor\.mask_coverage: found 1, expected None or a share, 0 to below 1'),
])
def test_bad_fields_are_named(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RegionPreprocessor(**{'image_size': 64, 'crop_size': 32, 'patch_size': 16, **options})
