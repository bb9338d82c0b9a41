import json
from types import SimpleNamespace

import pytest
from mmdet.datasets import CocoDataset
from mmengine.config import Config
from mmengine.dataset import ClassBalancedDataset

from rsc_mm.engine.class_order_hook import check_class_order
from rsc_mm.models.text import read_class_names
from rsc_mm.models.text.vocabulary import class_order_difference, read_base_classes, read_categories
from tests.test_tools.common import REPOSITORY

THINGS = ('circle', 'square', 'triangle', 'star', 'heart', 'ring', 'cross', 'crescent', 'arrow', 'hourglass')


def coco_file(path, names, **fields):
    categories = [dict(id=i, name=name, **{key: value[i - 1] for key, value in fields.items()})
                  for i, name in enumerate(names, 1)]
    image = dict(id=1, file_name='1.jpg', height=64, width=64)
    content = dict(images=[image], annotations=[dict(id=1, image_id=1, category_id=2, bbox=[1, 1, 9, 9], area=81,
                                                     iscrowd=0)], categories=categories)
    path.write_text(json.dumps(content))
    return path


def test_base_classes_of_lists_vocabularies_and_files(tmp_path, shapes_root):
    assert read_base_classes(['cat']) == ['cat']
    assert len(read_base_classes('coco_base')) == 48
    shapes = read_base_classes(shapes_root / 'annotations' / 'instances_val.json')
    assert shapes == [name for name in THINGS if name not in ('heart', 'cross', 'hourglass')]
    lvis = coco_file(tmp_path / 'lvis.json', 'abcd', frequency='rcfr')
    assert read_base_classes(str(lvis)) == ['b', 'c']
    assert read_base_classes(coco_file(tmp_path / 'plain.json', 'ab')) == ['a', 'b']


@pytest.mark.parametrize('padding', [0, 300_000])
def test_categories_are_read_without_the_annotations(tmp_path, padding):
    path = tmp_path / 'file.json'
    categories = [dict(id=2, name='é' * 50_000), dict(id=1, name='b')]
    path.write_text(json.dumps(dict(info='x' * padding, categories=categories, annotations=['y' * padding]),
                               ensure_ascii=False), encoding='utf-8')
    assert read_categories(path) == categories
    path.write_text('{"images": []}')
    assert read_categories(path) == []


def test_difference_in_words():
    assert class_order_difference(['a', 'b'], ('a', 'b')) == ''
    assert class_order_difference(['a', 'c', 'b'], ['a', 'b']) == (
        "found 3 classes, expected 2; first difference at label 1: found 'c', expected 'b'; not expected: ['c']")
    assert class_order_difference(['a'], ['a', 'b']) == "found 1 classes, expected 2; missing: ['b']"
    assert 'and 2 more' in class_order_difference([], [str(i) for i in range(10)])


def test_order_of_the_annotation_file_is_what_counts(tmp_path, shapes_root):
    def dataset(path, classes):
        return CocoDataset(ann_file=str(path), data_prefix=dict(img=''), metainfo=dict(classes=classes))

    good = dataset(shapes_root / 'annotations' / 'instances_train_base.json', THINGS)
    check_class_order(good, THINGS)
    check_class_order(ClassBalancedDataset(good, oversample_thr=0.1), THINGS)
    swapped = dataset(coco_file(tmp_path / 'a.json', 'bac'), 'abc')  # mmdet numbers b, a, c
    with pytest.raises(ValueError, match=r"annotation file .*a\.json: .*'roi_head.bbox_head.classes': .*label 0"):
        check_class_order(swapped, tuple('abc'))
    fewer = dataset(coco_file(tmp_path / 'b.json', 'ac'), 'abc')  # a base-only file without the novel categories
    with pytest.raises(ValueError, match=r"found 2 classes, expected 3; .*missing: \['b'\]"):
        check_class_order(fewer, tuple('abc'))
    with pytest.raises(ValueError, match=r"'metainfo.classes' \(CocoDataset\): .*label 0: found 'c'"):
        check_class_order(dataset(coco_file(tmp_path / 'c.json', 'abc'), 'cab'), tuple('abc'))
    listed = SimpleNamespace(metainfo=dict(classes=THINGS), ann_file='test.txt')  # VOC
    check_class_order(listed, THINGS)
    with pytest.raises(ValueError, match='first difference at label 0'):
        check_class_order(listed, THINGS[::-1])


def test_class_lists_of_the_dataset_configs_are_the_vocabularies():
    config = Config.fromfile(REPOSITORY / 'configs/_base_/datasets/ov_coco.py')
    for field, vocabulary in (('classes', 'ov_coco'), ('base_classes', 'coco_base'), ('novel_classes', 'coco_novel')):
        assert sorted(config[field]) == sorted(read_class_names(vocabulary))
        assert tuple(config.metainfo[field]) == tuple(config[field])
    assert list(config.classes) == read_class_names('ov_coco')
    shapes = Config.fromfile(REPOSITORY / 'configs/_base_/datasets/shapes_detection.py')
    assert tuple(shapes.classes) == THINGS
    assert set(shapes.base_classes) | set(shapes.novel_classes) == set(THINGS)
