import numpy as np
import pytest
import torch
from PIL import Image

from rsc_mm.datasets import LocalCropRegions, RegionDataset, SegmentedLocalCrops, WithLocalCrops
from rsc_mm.models import RegionPreprocessor

from .test_region_sources import record, rng
from .toy import coco_root, panoptic_root

SHAPES = [(480, 640), (128, 128), (60, 1000), (7, 5)]


@pytest.mark.parametrize('shape', SHAPES)
def test_squares_of_whole_pixels_inside_the_image(shape):
    for seed in range(30):
        fields = LocalCropRegions(num_regions=6)(record(shape=shape), rng(seed))
        boxes = fields['boxes']
        assert fields.keys() == {'boxes', 'crop_boxes'} and torch.equal(boxes, fields['crop_boxes'])
        assert boxes.shape == (6, 4) and boxes.dtype == torch.float32 and torch.equal(boxes, boxes.round())
        sides = boxes[:, 2:] - boxes[:, :2]
        assert torch.equal(sides[:, 0], sides[:, 1]) and sides.min() >= 1
        assert boxes.min() >= 0 and (boxes[:, 2:] <= torch.tensor(shape).flip(0)).all()


@pytest.mark.parametrize('shape', SHAPES)
def test_areas_lie_within_the_squared_scale(shape):
    side = np.sqrt(shape[0] * shape[1])
    boxes = torch.cat([LocalCropRegions()(record(shape=shape), rng(seed))['boxes'] for seed in range(200)])
    sides = (boxes[:, 2] - boxes[:, 0]).numpy()
    limit = min(shape)  # a square fits
    assert sides.min() >= min(0.3 * side, limit) - 0.5 and sides.max() <= min(0.7 * side, limit) + 0.5
    if 0.7 * side < limit:  # the whole range occurs, uniformly
        assert sides.min() < 0.31 * side + 0.5 and sides.max() > 0.69 * side - 0.5
        assert sides.mean() == pytest.approx(0.5 * side, rel=0.05)


def test_every_place_occurs_the_borders_too():
    source = LocalCropRegions(num_regions=20, scale=(0.5, 0.5))
    boxes = torch.cat([source(record(shape=(8, 8)), rng(seed))['boxes'] for seed in range(40)])
    counts = torch.bincount(boxes[:, 0].long() * 5 + boxes[:, 1].long(), minlength=25)
    assert len(counts) == 25 and counts.min() > 10 and counts.max() < 60  # 32 each


def test_a_scale_above_one_gives_the_largest_square():
    boxes = LocalCropRegions(scale=(2, 2))(record(shape=(60, 60)), rng())['boxes']
    assert boxes.tolist() == [[0, 0, 60, 60]] * 4


def test_the_generator_decides():
    first, second, other = (LocalCropRegions()(record(), rng(seed))['boxes'] for seed in (3, 3, 4))
    assert torch.equal(first, second) and not torch.equal(first, other)


def test_crops_are_neither_squashed_nor_padded(tmp_path):
    dataset = RegionDataset(LocalCropRegions(), 'ann.json', str(coco_root(tmp_path)), 'images')
    item = dataset[0]
    batch = RegionPreprocessor(64, 32, 16)({'inputs': [item['inputs']], 'data_samples': [item['data_samples']]})
    assert batch['crops'].shape == (4, 3, 32, 32)
    black = RegionPreprocessor(64, 32, 16).shift
    assert not torch.isclose(batch['crops'], black).all(1).any()


@pytest.mark.parametrize('fields, expected', [
    (dict(num_regions=0), 'num_regions: found 0, expected at least 1'),
    (dict(scale=(0, 0.5)), r'scale: found \(0, 0.5\), expected 0 < least <= largest'),
    (dict(scale=(0.7, 0.3)), r'scale: found \(0.7, 0.3\), expected'),
])
def test_bad_fields(fields, expected):
    with pytest.raises(ValueError, match=r'LocalCropRegions\.' + expected):
        LocalCropRegions(**fields)


@pytest.mark.parametrize('count', [0, 1, 3])
def test_with_local_crops_tells_both_apart(count):
    source = WithLocalCrops(dict(type='ProposalRegions'), num_crops=5, scale=(0.4, 0.4))
    fields = source(record([[10 * i, 10, 20, 30] for i in range(count)], shape=(60, 100)), rng())
    proposals = max(count, 1)  # an image without proposals gets its upper left sixteenth
    assert fields.keys() == {'boxes', 'crop_boxes', 'is_local'}
    assert fields['is_local'].dtype == torch.bool
    assert fields['is_local'].tolist() == [False] * proposals + [True] * 5
    sides = fields['boxes'][:, 2:] - fields['boxes'][:, :2]
    assert (sides[fields['is_local']] == round(0.4 * np.sqrt(6000))).all()
    if count:
        assert (sides[~fields['is_local']] == torch.tensor([20, 30])).all()
        assert not torch.equal(fields['boxes'][0], fields['crop_boxes'][0])  # the teacher's crop is expanded
    assert torch.equal(fields['boxes'][fields['is_local']], fields['crop_boxes'][fields['is_local']])


def test_with_local_crops_needs_what_the_other_source_needs(tmp_path):
    grid, texts = (WithLocalCrops(dict(type=name)) for name in ('GridRegions', 'RegionTextRegions'))
    assert grid.needs == () and not grid.annotated_only
    assert texts.needs == ('bbox', 'category_id') and texts.annotated_only
    source = dict(type='WithLocalCrops', regions=dict(type='GridRegions', max_regions=2), num_crops=3)
    sample = RegionDataset(source, 'ann.json', str(coco_root(tmp_path)), 'images')[0]['data_samples']
    assert len(sample.boxes) == len(sample.crop_boxes) == len(sample.is_local) and sample.is_local.sum() == 3


def test_nouns_stay_those_of_the_regions():
    source = WithLocalCrops(dict(type='RegionTextRegions', max_regions=2), num_crops=3)
    fields = source(record([[0, 0, 20, 30], [5, 5, 20, 20]], shape=(60, 100)), rng())
    assert len(fields['boxes']) == 5 and len(fields['labels']) == 2


def test_segments_of_the_tokens_of_local_crops(tmp_path):
    """The annotated segment under the centre of every cell, on the boxes that LocalCropRegions draws."""
    root = str(panoptic_root(tmp_path))
    source = SegmentedLocalCrops(grid=3, num_crops=5)
    sample = RegionDataset(source, 'panoptic.json', root, 'images')[0]['data_samples']
    plain = RegionDataset(LocalCropRegions(5), 'panoptic.json', root, 'images')[0]['data_samples']
    assert torch.equal(sample.boxes, plain.boxes) and torch.equal(sample.crop_boxes, plain.boxes)
    assert sample.segments.shape == (5, 9) and set(sample.segments.flatten().tolist()) <= {0, 1, 300, 70000}
    colours = np.array(Image.open(tmp_path / 'panoptic' / '0.png')).astype(int) @ [1, 256, 65536]
    for (x1, y1, x2, y2), row in zip(sample.boxes.tolist(), sample.segments.tolist()):
        centres = [(int(y1 + (y2 - y1) * (i + 0.5) / 3), int(x1 + (x2 - x1) * (j + 0.5) / 3))
                   for i in range(3) for j in range(3)]
        assert row == [colours[y, x] for y, x in centres]


def test_a_grid_below_one_is_refused():
    with pytest.raises(ValueError, match=r'SegmentedLocalCrops\.grid: found 0, expected at least 1'):
        SegmentedLocalCrops(grid=0)
