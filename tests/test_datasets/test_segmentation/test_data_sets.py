import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rsc_mm.datasets.label_maps import IGNORE, write_label_map
from rsc_mm.registry import DATASETS

pytest.importorskip('mmcv._ext', reason="needs mmcv's operators")
pytest.importorskip('mmseg', reason='needs mmseg')
import rsc_mm.datasets.segmentation  # noqa: E402, F401  registers the data sets


def write_pair(root: Path, name: str, labels: np.ndarray, num_classes: int) -> None:
    (root / 'images').mkdir(exist_ok=True)
    Image.new('RGB', labels.shape[::-1]).save(root / 'images' / f'{name}.jpg')
    write_label_map(root / 'maps' / f'{name}.png', labels, num_classes)


def build(root: Path, kind: str, pipeline: list, **fields: object) -> object:
    folders = dict(img_path='images', seg_map_path='maps')
    return DATASETS.build(dict(type=f'rsc_mm.{kind}', data_root=str(root), data_prefix=folders, pipeline=pipeline,
                               test_mode=True, **fields))


PIPELINE = [dict(type='LoadImageFromFile'), dict(type='Resize', scale=(44, 22), keep_ratio=True),
            dict(type='rsc_mm.LoadLabelMap', ignore_index=IGNORE), dict(type='PackSegInputs')]


def test_459_classes_come_through_data_set_and_pipeline_without_loss(tmp_path):
    labels = np.append(np.arange(459), IGNORE).reshape(20, 23)  # (20, 23)
    write_pair(tmp_path, 'a', labels, 459)
    dataset = build(tmp_path, 'PascalContext459Dataset', PIPELINE)
    assert len(dataset.metainfo['classes']) == 459 and dataset.ignore_index == IGNORE
    sample = dataset[0]['data_samples']
    assert np.array_equal(sample.gt_sem_seg.data[0].numpy(), labels) and sample.img_shape != sample.ori_shape


def test_mmsegs_own_loader_loses_them(tmp_path):
    """Why there is a loader of ours; if this fails, mmseg has mended it."""
    write_pair(tmp_path, 'a', np.array([[0, 255], [256, 458]]), 459)
    pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackSegInputs')]
    found = build(tmp_path, 'PascalContext459Dataset', pipeline)[0]['data_samples'].gt_sem_seg.data
    assert found[0].tolist() == [[0, 255], [0, 202]]


def test_maps_are_resized_without_mixing_labels(tmp_path):
    write_pair(tmp_path, 'a', np.array([[0, 457], [300, 458]]).repeat(8, 0).repeat(8, 1), 459)
    pipeline = [PIPELINE[0], PIPELINE[2], dict(type='RandomResize', scale=(64, 64), ratio_range=(1, 1)),
                dict(type='PackSegInputs')]
    found = build(tmp_path, 'PascalContext459Dataset', pipeline)[0]['data_samples'].gt_sem_seg.data
    assert found.shape == (1, 64, 64) and set(found.unique().tolist()) == {0, 457, 300, 458}


def test_classes_left_out_are_ignored_and_those_kept_renumbered(tmp_path):
    write_pair(tmp_path, 'a', np.array([[0, 255, 256, IGNORE]]), 459)
    names = build(tmp_path, 'PascalContext459Dataset', []).metainfo['classes']
    dataset = build(tmp_path, 'PascalContext459Dataset', PIPELINE[:1] + PIPELINE[2:],
                    metainfo=dict(classes=(names[256], names[255])))
    assert dataset[0]['data_samples'].gt_sem_seg.data.tolist() == [[[IGNORE, 1, 0, IGNORE]]]
    with pytest.raises(ValueError, match=r"PascalContext459Dataset.metainfo\['classes'\]: found \['unicorn'\]"):
        build(tmp_path, 'PascalContext459Dataset', [], metainfo=dict(classes=('unicorn', )))


def test_the_zero_label_is_reduced_and_255_stays_ignored(tmp_path):
    write_pair(tmp_path, 'a', np.array([[0, 1, 150, IGNORE]]), 151)
    pipeline = [dict(type='LoadImageFromFile'), dict(type='rsc_mm.LoadLabelMap'), dict(type='PackSegInputs')]
    dataset = build(tmp_path, 'LabelMapDataset', pipeline, reduce_zero_label=True,
                    metainfo=dict(classes=tuple(map(str, range(150)))))
    assert dataset[0]['data_samples'].gt_sem_seg.data.tolist() == [[[255, 0, 149, 255]]]


def test_an_ignored_number_that_is_a_class_is_refused(tmp_path):
    write_pair(tmp_path, 'a', np.array([[255, 3]]), 459)
    dataset = build(tmp_path, 'PascalContext459Dataset', [dict(type='rsc_mm.LoadLabelMap')])
    with pytest.raises(ValueError, match="a.png: found the class 255, which is LoadLabelMap's ignore_index"):
        dataset[0]


def test_an_empty_or_missing_folder_is_named_with_the_command(tmp_path):
    for folder in ('missing', 'images'):
        if folder == 'images':
            (tmp_path / folder).mkdir()
        with pytest.raises(FileNotFoundError, match=r'ADE20K847Dataset: .*expected \*.jpg in .*images with \*.png in '
                                                    r'.*maps; tools/data/prepare_ade847.py makes the files'):
            build(tmp_path, 'ADE20K847Dataset', [])
    with pytest.raises(FileNotFoundError, match='ann_file.*expected those of .*val.txt'):
        build(tmp_path, 'PascalVOC21Dataset', [], ann_file='val.txt')


@pytest.mark.parametrize('kind, count, first, last', [
    ('ADE20K847Dataset', 847, 'wall', 'adding machine, totalizer, totaliser'),
    ('PascalContext459Dataset', 459, 'accordion', 'wool'),
    ('COCOObjectDataset', 81, 'background', 'toothbrush'), ('PascalVOC21Dataset', 21, 'background', 'tvmonitor')])
def test_class_lists(kind, count, first, last):
    classes = DATASETS.get(f'rsc_mm.{kind}').METAINFO['classes']
    assert len(classes) == len(set(classes)) == count and classes[0] == first
    assert last == classes[-1]


def shapes_labels(root, **fields):
    return DATASETS.build(dict(
        type='rsc_mm.PanopticLabelDataset', data_root=str(root), ann_file='annotations/panoptic_val.json',
        data_prefix=dict(img_path='val', seg_map_path='panoptic_val'), test_mode=True, **fields,
        pipeline=[dict(type='LoadImageFromFile'), dict(type='rsc_mm.LoadPanopticLabels'), dict(type='PackSegInputs')]))


def test_classes_of_panoptic_files_can_be_held_out_and_reordered(shapes_root):
    chosen = ['stripes', 'circle', 'star']
    everything, some = shapes_labels(shapes_root), shapes_labels(shapes_root, classes=chosen)
    assert some.metainfo['classes'] == tuple(chosen)
    names = everything.metainfo['classes']
    for whole, part in zip(everything, some):
        before, after = (item['data_samples'].gt_sem_seg.data for item in (whole, part))
        for label, name in enumerate(names):
            expected = chosen.index(name) if name in chosen else 255
            assert (after[before == label] == expected).all()
        assert (after[before == 255] == 255).all()
    with pytest.raises(ValueError, match=r"field 'classes': found \['cat'\], expected names of the 18 'categories'"):
        shapes_labels(shapes_root, classes=['circle', 'cat'])


def test_panoptic_files_are_read_as_semantic_labels(shapes_root):
    dataset = shapes_labels(shapes_root)
    content = json.loads((shapes_root / 'annotations' / 'panoptic_val.json').read_text())
    assert len(dataset) == 6 and dataset.metainfo['classes'][:2] == ('circle', 'square')
    for item, entry in zip(dataset, content['annotations']):
        labels = item['data_samples'].gt_sem_seg.data[0]
        for label in range(18):
            area = sum(info['area'] for info in entry['segments_info'] if info['category_id'] == label + 1)
            assert (labels == label).sum() == area
        assert ((labels < 18) | (labels == 255)).all()
