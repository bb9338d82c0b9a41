from pathlib import Path

import numpy as np
import pytest
import torch

from rsc_mm.datasets import (
    GridRegions,
    ImageRecord,
    InstanceRegions,
    PanopticRegions,
    ProposalRegions,
    RegionDataset,
    RegionTextRegions,
)
from rsc_mm.datasets.image_io import BadImageError

from .toy import panoptic_root, save_image


def record(boxes: list | None = None, shape: tuple[int, int] = (60, 100), labels: list | None = None) -> ImageRecord:
    boxes = np.array(boxes or [], np.float64).reshape(-1, 4)
    n = len(boxes)
    return ImageRecord(1, 'a.jpg', shape, boxes, np.array(labels or [0] * n, np.int64), np.ones(n, bool),
                       np.full(n, -1), None)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_grid_has_the_papers_24_choices() -> None:
    choices = GridRegions().choices
    assert len(choices) == len(set(choices)) == 24
    assert set(choices) == {(m, n) for m in range(1, 7) for n in range(1, 7) if m / 2 <= n <= 2 * m}


def test_grid_draws_every_choice_equally_often() -> None:
    source, counts = GridRegions(max_regions=36), {}
    generator = rng()
    for _ in range(2400):
        boxes = source(record(), generator)['boxes']
        sides = tuple((boxes[0, 2:] - boxes[0, :2]).round().tolist())
        counts[sides] = counts.get(sides, 0) + 1
    assert len(counts) == 24 and min(counts.values()) > 60 and max(counts.values()) < 150


def test_grid_cells_tile_the_image() -> None:
    source = GridRegions(max_regions=36)
    for seed in range(20):
        covered = np.zeros((60, 60), int)  # 60 divides by every 1..6
        for x1, y1, x2, y2 in source(record(shape=(60, 60)), rng(seed))['boxes'].round().int().tolist():
            covered[y1:y2, x1:x2] += 1
        assert (covered == 1).all()


def test_grid_keeps_at_most_twenty_shuffled_cells() -> None:
    drawn = [GridRegions()(record(), rng(seed))['boxes'] for seed in range(60)]
    assert max(len(boxes) for boxes in drawn) == 20
    assert any(boxes[0, :2].any() for boxes in drawn)  # not always the upper left cell first


def test_grid_crops_are_scaled_cells_within_the_image() -> None:
    fields = GridRegions(max_split=1, crop_scale=1.5)(record(), rng())
    assert fields['boxes'].tolist() == fields['crop_boxes'].tolist() == [[0, 0, 100, 60]]
    fields = GridRegions(crop_scale=1.5)(record(), rng(3))
    assert (fields['crop_boxes'][:, :2] <= fields['boxes'][:, :2]).all()
    assert fields['crop_boxes'].min() >= 0 and (fields['crop_boxes'][:, 2:] <= torch.tensor([100, 60])).all()


def test_proposals_are_expanded_for_the_teacher_only() -> None:
    fields = ProposalRegions()(record([[40, 20, 20, 10]]), rng())
    assert fields['boxes'].tolist() == [[40, 20, 60, 30]]
    assert fields['crop_boxes'].tolist() == [[35, 17.5, 65, 32.5]]
    clipped = ProposalRegions()(record([[0, 0, 90, 60]]), rng())['crop_boxes']
    assert clipped.tolist() == [[0, 0, 100, 60]]


def test_proposals_outside_the_area_limits_are_dropped() -> None:
    boxes = [[0, 0, 8, 8], [0, 0, 7, 9], [0, 0, 0, 50], [0, 0, 1024, 1024], [0, 0, 1025, 1024]]
    kept = ProposalRegions()(record(boxes, (2000, 2000)), rng())['boxes']
    assert sorted(kept[:, 3].tolist()) == [8, 1024]


def test_area_limits_apply_after_the_draw_of_twenty() -> None:
    boxes = [[0, 0, 2, 2]] * 20 + [[0, 0, 10, 10]] * 20
    counts = [len(ProposalRegions()(record(boxes), rng(seed))['boxes']) for seed in range(50)]
    assert max(counts) < 20 and 8 < np.mean(counts) < 12


@pytest.mark.parametrize('boxes', [[], [[0, 0, 3, 3]]])
def test_image_without_proposals_gets_its_upper_left_sixteenth(boxes: list) -> None:
    fields = ProposalRegions()(record(boxes), rng())
    assert fields['boxes'].tolist() == fields['crop_boxes'].tolist() == [[0, 0, 25, 15]]


def test_region_text_keeps_each_box_with_its_noun() -> None:
    boxes = [[i, 0, 10 + i, 5] for i in range(30)]
    fields = RegionTextRegions()(record(boxes, labels=list(range(30))), rng())
    assert len(fields['boxes']) == 20 and fields['labels'].dtype == torch.int64
    assert fields['boxes'][:, 0].tolist() == fields['labels'].tolist()


def test_instances_come_in_file_order() -> None:
    fields = InstanceRegions()(record([[5, 5, 20, 20], [0, 0, 2, 2], [1, 1, 9, 9]], labels=[4, 5, 6]), rng())
    assert fields['labels'].tolist() == [4, 6] and fields['is_thing'].tolist() == [True, True]
    assert fields['crop_boxes'][0].tolist() == [0, 0, 30, 30]


def panoptic(root: Path) -> dict[str, torch.Tensor]:
    dataset = RegionDataset({'type': 'PanopticRegions'}, 'panoptic.json', str(root), 'images')
    return dataset[0]['data_samples']


def test_panoptic_by_hand(tmp_path: Path) -> None:
    sample = panoptic(panoptic_root(tmp_path))
    # The thing keeps its annotated box, the stuff gets its extent, the 4 x 4 stuff is below 8^2.
    assert sample.boxes.tolist() == [[10, 5, 24, 20], [0, 0, 40, 28]]
    assert sample.crop_boxes.tolist() == [[6.5, 1.25, 27.5, 23.75], [0, 0, 40, 28]]
    assert sample.labels.tolist() == [1, 2] and sample.is_thing.tolist() == [True, False]
    assert sample.masks.shape == (2, 30, 40) and sample.masks.dtype == torch.uint8
    assert sample.masks.sum((1, 2)).tolist() == [15 * 15, 4 * 40 + 24 * 2]


def test_image_without_segments_has_empty_fields(tmp_path: Path) -> None:
    root = panoptic_root(tmp_path)
    save_image(root / 'images' / '1.png')
    text = (root / 'panoptic.json').read_text()
    (root / 'panoptic.json').write_text(text.replace(
        '"images": [', '"images": [{"id": 2, "file_name": "1.png", "height": 30, "width": 40}, '))
    sample = panoptic(root)
    assert sample.masks.shape == (0, 30, 40) and sample.boxes.shape == sample.crop_boxes.shape == (0, 4)
    assert sample.labels.shape == sample.is_thing.shape == (0, )


def test_missing_png_is_named(tmp_path: Path) -> None:
    root = panoptic_root(tmp_path)
    (root / 'panoptic' / '0.png').unlink()
    with pytest.raises(BadImageError, match=r'0\.png: found No such file'):
        panoptic(root)


def test_png_of_another_size_is_named(tmp_path: Path) -> None:
    save_image(panoptic_root(tmp_path) / 'panoptic' / '0.png', 10, 10)
    with pytest.raises(BadImageError, match=r'0\.png: found height x width 10 x 10 in the file, expected 30 x 40'):
        panoptic(tmp_path)


def test_png_without_a_segment_is_named(tmp_path: Path) -> None:
    root = panoptic_root(tmp_path)
    (root / 'panoptic.json').write_text((root / 'panoptic.json').read_text().replace('70000', '70001'))
    with pytest.raises(ValueError, match=r'0\.png: found no pixel of the segment 70001, expected every id'):
        panoptic(root)


@pytest.mark.parametrize('source', [GridRegions, ProposalRegions, RegionTextRegions, InstanceRegions, PanopticRegions])
def test_arguments_are_checked(source: type) -> None:
    with pytest.raises(ValueError, match=rf'{source.__name__}\.crop_scale: found 0\.5, expected at least 1'):
        source(crop_scale=0.5)
