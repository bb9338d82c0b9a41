import logging
from multiprocessing import active_children
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from rsc_mm.datasets import BadImageError, Draw, EpochSampler, RegionDataset, read_image, region_collate

from .toy import SHARED_COCO, coco, coco_root, save_image, write_json

GRID = {'type': 'GridRegions'}


def dataset(root: Path, regions: dict = GRID, **options: object) -> RegionDataset:
    return RegionDataset(regions, 'ann.json', str(root), 'images', **options)


def epoch(data: RegionDataset, workers: int, number: int = 0, batch_size: int = 2) -> list[tuple]:
    """Every image's id and boxes, in the order in which one epoch delivers them."""
    sampler = EpochSampler(data, seed=5)
    sampler.set_epoch(number)
    loader = DataLoader(data, batch_size, sampler=sampler, num_workers=workers, collate_fn=region_collate)
    return [(s.img_id, s.boxes.tolist()) for batch in loader for s in batch['data_samples']]


def test_item_is_the_raw_image_with_regions(tmp_path: Path) -> None:
    item = dataset(coco_root(tmp_path))[1]
    sample = item['data_samples']
    assert torch.equal(item['inputs'], read_image(str(tmp_path / 'images' / '1.jpg')))
    assert (sample.img_id, sample.ori_shape) == (11, (30, 40)) and sample.img_path.endswith('images/1.jpg')
    assert sample.boxes.shape == sample.crop_boxes.shape and sample.boxes.dtype == torch.float32


def test_index_ends_iteration(tmp_path: Path) -> None:
    assert len(list(dataset(coco_root(tmp_path)))) == 3
    with pytest.raises(IndexError, match='index 3 is not in a dataset of 3 images'):
        dataset(tmp_path)[3]


def test_epoch_repeats_for_any_number_of_workers(tmp_path: Path) -> None:
    data = dataset(coco_root(tmp_path, 8))
    first = epoch(data, 0)
    assert first == epoch(data, 2) == epoch(data, 1, batch_size=3)
    assert sorted(first) != sorted(epoch(data, 0, 1))


def test_draws_differ_by_image_epoch_and_seed(tmp_path: Path) -> None:
    data = dataset(coco_root(tmp_path, 2))
    draws = [Draw(0), Draw(1), Draw(0, 1), Draw(0, 0, 1), Draw(0, 2)]
    boxes = [str(data[draw]['data_samples'].boxes.tolist()) for draw in draws]
    assert len(set(boxes)) > 3 and boxes[0] == str(data[0]['data_samples'].boxes.tolist())
    assert boxes[2] == str(data[0, 1]['data_samples'].boxes.tolist())


def test_classes_are_metainfo(tmp_path: Path) -> None:
    root = coco_root(tmp_path)
    assert dataset(root, {'type': 'InstanceRegions'}).metainfo == {'classes': ('dog', 'cat'), 'is_thing': (True, True)}
    assert dataset(root).metainfo == {'classes': (), 'is_thing': ()}


def test_unannotated_images_are_left_out_for_nouns_only(tmp_path: Path) -> None:
    root = coco_root(tmp_path)
    data = dataset(root, {'type': 'RegionTextRegions'})
    assert [item['data_samples'].img_id for item in data] == [11, 12]
    assert data[1]['data_samples'].labels.sort().values.tolist() == [0, 1]
    assert len(dataset(root, {'type': 'ProposalRegions'})) == 3
    write_json(root / 'ann.json', coco(1))
    with pytest.raises(ValueError, match='ann_file: found no image with an annotation, expected at least one'):
        dataset(root, {'type': 'RegionTextRegions'})


def test_folder_of_images(tmp_path: Path) -> None:
    save_image(tmp_path / 'images' / 'x' / '1.png', 20, 40)
    save_image(tmp_path / 'images' / '0.jpg', 30, 20)
    data = RegionDataset(GRID, data_root=str(tmp_path), img_prefix='images')
    np.testing.assert_allclose(data.aspect_ratios(), [1.5, 0.5])
    assert data[1]['data_samples'].ori_shape == (20, 40)


def test_list_of_roots(tmp_path: Path) -> None:
    roots = [str(coco_root(tmp_path / name, n)) for name, n in (('a', 2), ('b', 3))]
    data = RegionDataset(GRID, 'ann.json', roots, 'images')
    assert [item['data_samples'].img_id for item in data] == ['0/10', '0/11', '1/10', '1/11', '1/12']
    mixed = RegionDataset(GRID, ['ann.json', None], roots, ['images', 'images'])
    assert len(mixed) == 5 and mixed[4]['data_samples'].img_path.endswith('b/images/2.jpg')
    with pytest.raises(ValueError, match=r"found lists of \{'data_root': 2, 'ann_file': 1\}, expected .* one length"):
        RegionDataset(GRID, ['ann.json'], roots, 'images')


def spoil(root: Path, *numbers: int) -> None:
    for i in numbers:
        (root / 'images' / f'{i}.jpg').write_bytes(b'\xff\xd8\xffspoilt')


def test_bad_image_is_an_error_at_once_by_default(tmp_path: Path) -> None:
    spoil(coco_root(tmp_path), 1)
    with pytest.raises(BadImageError, match=r'(?s)max_bad_images: found 1 bad images, .*at most 0.*1\.jpg: found'):
        dataset(tmp_path)[1]


@pytest.mark.parametrize('workers', [0, 2])
def test_bad_images_are_skipped_up_to_the_limit(tmp_path: Path, workers: int) -> None:
    spoil(coco_root(tmp_path, 6), 1, 4)
    data = dataset(tmp_path, max_bad_images=2)
    for number in range(2):  # the second epoch meets the same two, which count once
        assert sorted(img_id for img_id, _ in epoch(data, workers, number)) == [10, 12, 13, 15]
    spoil(tmp_path, 3)
    save_image(tmp_path / 'images' / '5.jpg', 20, 20)
    with pytest.raises(BadImageError, match=r'found 3 bad images, expected at most 2') as caught:
        epoch(data, workers, 2)
    for worker in active_children():  # torch waits 5 s for each worker of a loader that raised
        worker.terminate()
    message = str(caught.value)
    assert '1.jpg: found a JPEG that does not decode' in message and '4.jpg: found' in message
    assert '3.jpg: found' in message or '5.jpg: found height x width 20 x 20 in the file, expected 30 x 40' in message


def test_skipped_image_is_logged_by_name(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spoil(coco_root(tmp_path), 1)
    from mmengine.logging import MMLogger
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    try:
        assert dataset(tmp_path, max_bad_images=3)[1] is None
    finally:
        logger.removeHandler(caplog.handler)
    record = caplog.records[-1]
    assert record.levelno == logging.WARNING and 'skipped bad image 1 of at most 3' in record.getMessage()
    assert '1.jpg: found' in record.getMessage()


def test_batch_of_bad_images_is_empty() -> None:
    assert region_collate([None, None]) == {'inputs': [], 'data_samples': []}


def test_unknown_source_and_missing_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match=r"RegionDataset\.regions\.type: found 'RidgeRegions', expected one of \['Grid"):
        dataset(coco_root(tmp_path), {'type': 'RidgeRegions'})
    with pytest.raises(ValueError, match=r"ann_file: found None, expected a json with \['bbox'\] for ProposalRegions"):
        RegionDataset({'type': 'ProposalRegions'}, data_root=str(tmp_path))


@pytest.mark.parametrize('batching', [{}, {'batch_sampler': {'type': 'AspectRatioBatchSampler'}}])
@pytest.mark.parametrize('collate', ['region_collate', 'rsc_mm.region_collate'])
def test_runner_builds_the_loader(tmp_path: Path, batching: dict, collate: str) -> None:
    root = coco_root(tmp_path, 3)
    config = dict(batch_size=2, num_workers=0, collate_fn=dict(type=collate), sampler=dict(type='EpochSampler'),
                  dataset=dict(type='RegionDataset', regions=GRID, ann_file='ann.json', data_root=str(root),
                               img_prefix='images'), **batching)
    from mmengine.registry import DefaultScope
    with DefaultScope.overwrite_default_scope('rsc_mm'):
        loader = Runner.build_dataloader(config, seed=9)
    loader.batch_sampler.sampler.set_epoch(1)
    loaded = [len(batch['inputs']) for batch in loader]
    assert loaded == [2, 1] and loader.batch_sampler.sampler.seed == 9


@pytest.mark.skipif(not SHARED_COCO.is_dir(), reason='needs ../shared/coco_mini')
@pytest.mark.parametrize('regions, ann_file, classes', [
    ('GridRegions', 'instances_val2017', 0), ('ProposalRegions', 'instances_val2017', 0),
    ('InstanceRegions', 'instances_val2017', 80), ('PanopticRegions', 'panoptic_val2017', 133)])
def test_real_coco(regions: str, ann_file: str, classes: int) -> None:
    data = RegionDataset({'type': regions}, f'annotations/{ann_file}.json', str(SHARED_COCO), 'val2017')
    assert len(data) == 50 and len(data.metainfo['classes']) == classes
    for i in range(0, 50, 7):
        sample = data[i]['data_samples']
        assert sample.boxes.min() >= 0 and (sample.boxes[:, 2:] > sample.boxes[:, :2]).all()


def logged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lines = []
    monkeypatch.setattr('rsc_mm.datasets.region_dataset.print_log',
                        lambda text, *args, **kwargs: lines.append(text))
    return lines


def test_images_without_proposals_are_counted_and_a_file_without_any_is_refused(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, lines = coco_root(tmp_path), logged(monkeypatch)
    assert len(dataset(root, {'type': 'ProposalRegions'})) == 3
    assert lines == ['1 of 3 images have no annotation and get the box [0, 0, width / 4, height / 4] alone']
    dataset(root, {'type': 'WithLocalCrops', 'regions': {'type': 'ProposalRegions'}})
    dataset(root, {'type': 'InstanceRegions'})
    assert lines[1] == lines[0] and lines[2] == '1 of 3 images have no annotation and have no region'
    dataset(root, {'type': 'GridRegions'})
    assert len(lines) == 3
    write_json(root / 'ann.json', coco(3, annotations=[]))
    for source in ('ProposalRegions', 'InstanceRegions', 'RegionTextRegions'):
        with pytest.raises(ValueError, match=r'ann\.json, RegionDataset.ann_file: found no image with an annotation, '
                           rf'expected at least one of the 3 images with boxes for {source}'):
            dataset(root, {'type': source})


def test_boxes_that_are_left_out_are_logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, lines = coco_root(tmp_path), logged(monkeypatch)
    content = coco(3)
    content['annotations'][0]['bbox'] = [99, 99, 5, 5]
    write_json(root / 'ann.json', content)
    dataset(root, {'type': 'ProposalRegions'})
    assert lines[0].startswith('left out 1 of 3 boxes; the first: ')
    assert lines[1].startswith('2 of 3 images have no annotation')


def test_a_box_outside_an_image_of_unannotated_size_is_bad(tmp_path: Path) -> None:
    root, content = coco_root(tmp_path), coco(3)
    for image in content['images']:
        del image['height'], image['width']
    content['annotations'][0]['bbox'] = [99, 99, 5, 5]
    write_json(root / 'ann.json', content)
    with pytest.raises(BadImageError, match=r'1\.jpg: found the box \[99.*expected .* inside .* 40 x 30'):
        dataset(root, {'type': 'ProposalRegions'})[1]
