import importlib.util
import json
import os
from pathlib import Path
from types import ModuleType

import pytest

from rsc_mm.models.text import read_class_names
from tests.test_tools.common import REPOSITORY

COCO_MINI = Path(os.environ.get('RSC_MM_COCO_MINI', REPOSITORY.parent / 'shared' / 'coco_mini'))
CLASSES, BASE, NOVEL = (read_class_names(name) for name in ('ov_coco', 'coco_base', 'coco_novel'))
# Image 1: person (base) and cat (novel); 2: cat; 3: traffic light (neither); 4: nothing.
SHOWN = [(1, 'person'), (1, 'cat'), (2, 'cat'), (3, 'traffic light')]


def load_tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, REPOSITORY / 'tools' / 'data' / f'{name}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def annotations(names: list[str], shown: list[tuple[int, str]], **frequencies: str) -> dict:
    """COCO-style annotations of four images; a category's id is three times its place, plus one."""
    ids = {name: 3 * i + 1 for i, name in enumerate(names)}
    return {'images': [{'id': i, 'coco_url': f'http://a.org/train2017/{i}.jpg', 'file_name': f'{i}.jpg', 'height': 40,
                        'width': 60, 'neg_category_ids': [], 'not_exhaustive_category_ids': []} for i in range(1, 5)],
            'annotations': [{'id': i, 'image_id': image, 'category_id': ids[name], 'bbox': [1, 2, 30, 20], 'area': 600,
                             'iscrowd': 0, 'segmentation': [[1, 2, 31, 2, 31, 22]]}
                            for i, (image, name) in enumerate(shown, 1)],
            'categories': [{'id': i, 'name': name, **({'frequency': frequencies[name]} if frequencies else {})}
                           for name, i in ids.items()]}


def run(monkeypatch: pytest.MonkeyPatch, name: str, *options: object) -> None:
    monkeypatch.setattr('sys.argv', [name, *map(str, options)])
    load_tool(name).main()


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """The official 80 categories, four images of each split."""
    (tmp_path / 'annotations').mkdir()
    for split in ('train', 'val'):
        path = tmp_path / 'annotations' / f'instances_{split}2017.json'
        path.write_text(json.dumps(annotations(read_class_names('coco'), SHOWN)))
    return tmp_path


@pytest.fixture
def lvis(tmp_path: Path) -> Path:
    """LVIS files of three categories, one of each frequency, not in alphabetical order."""
    (tmp_path / 'annotations').mkdir()
    content = annotations(['wok', 'bun', 'ant'], [(1, 'wok'), (1, 'bun'), (2, 'bun'), (3, 'ant')], wok='f', bun='r',
                          ant='c')
    for split in ('train', 'val'):
        (tmp_path / 'annotations' / f'lvis_v1_{split}.json').write_text(json.dumps(content))
    return tmp_path


def test_coco_by_hand(monkeypatch, coco, capsys):
    run(monkeypatch, 'prepare_ov_coco', '--data-root', coco)
    train, val = (json.loads((coco / 'annotations' / f'{name}.json').read_text())
                  for name in ('instances_train2017_base', 'instances_val2017_ov'))
    assert [image['id'] for image in train['images']] == [1] and [row['id'] for row in train['annotations']] == [1]
    assert [image['id'] for image in val['images']] == [1, 2] and [row['id'] for row in val['annotations']] == [1, 2, 3]
    for content in (train, val):
        assert [row['name'] for row in content['categories']] == CLASSES
        assert content['categories'][-1]['id'] == 3 * 79 + 1  # the official id of the toothbrush, here
    printed = capsys.readouterr().out
    assert 'base classes: 48 as known' in printed and 'novel classes: 17 as known' in printed
    assert 'train images: 1 DEVIATES from 107,761' in printed and 'val images: 2 DEVIATES from 4,836' in printed
    assert 'train annotations of novel classes: 0\n' in printed and 'val annotations of novel classes: 2' in printed


def test_mmdet_reads_48_and_65_classes_of_the_training_file(monkeypatch, coco):
    datasets = pytest.importorskip('mmdet.datasets', reason='needs mmdet')
    run(monkeypatch, 'prepare_ov_coco', '--data-root', coco)
    for classes in (BASE, CLASSES):
        read = datasets.CocoDataset(data_root=str(coco), ann_file='annotations/instances_train2017_base.json',
                                    metainfo={'classes': tuple(classes)}, pipeline=[], data_prefix={'img': ''})
        assert len(read.cat_ids) == len(classes)
        assert [row['bbox_label'] for row in read.get_data_info(0)['instances']] == [classes.index('person')]
    read = datasets.CocoDataset(data_root=str(coco), ann_file='annotations/instances_val2017_ov.json',
                                metainfo={'classes': tuple(CLASSES)}, pipeline=[], data_prefix={'img': ''})
    assert [row['bbox_label'] for row in read.get_data_info(1)['instances']] == [CLASSES.index('cat')]


def test_known_counts_and_strict(monkeypatch, coco, capsys):
    with pytest.raises(SystemExit, match='counts deviate'):
        run(monkeypatch, 'prepare_ov_coco', '--data-root', coco, '--strict', '--splits', 'val')
    assert 'train images' not in capsys.readouterr().out
    assert not (coco / 'annotations' / 'instances_train2017_base.json').exists()


def test_existing_files_stay(monkeypatch, coco):
    out = coco / 'annotations' / 'instances_val2017_ov.json'
    out.write_text('mine')
    with pytest.raises(SystemExit, match=r'instances_val2017_ov\.json: found there already'):
        run(monkeypatch, 'prepare_ov_coco', '--data-root', coco)
    assert out.read_text() == 'mine' and not (out.parent / 'instances_train2017_base.json').exists()


@pytest.mark.parametrize(('content', 'message'), [
    ({'images': [], 'annotations': [], 'categories': [{'id': 1, 'name': 'person'}]},
     r'instances_val2017\.json: categories: found none named bicycle'),
    ({'images': [], 'categories': [{'id': 1, 'name': 'person'}]}, 'found none named bicycle')])
def test_another_file_than_coco(monkeypatch, coco, content, message):
    (coco / 'annotations' / 'instances_val2017.json').write_text(json.dumps(content))
    with pytest.raises(SystemExit, match=message):
        run(monkeypatch, 'prepare_ov_coco', '--data-root', coco, '--splits', 'val')


@pytest.mark.skipif(not COCO_MINI.is_dir(), reason='real COCO images are not at hand')
def test_real_annotations(monkeypatch, tmp_path):
    (tmp_path / 'annotations').mkdir()
    for split in ('train', 'val'):
        name = f'instances_{split}2017.json'
        (tmp_path / 'annotations' / name).symlink_to(COCO_MINI / 'annotations' / name)
    run(monkeypatch, 'prepare_ov_coco', '--data-root', tmp_path)
    for split, part, names in (('train', 'train2017_base', BASE), ('val', 'val2017_ov', CLASSES)):
        official, made = (json.loads((tmp_path / 'annotations' / f'instances_{name}.json').read_text())
                          for name in (f'{split}2017', part))
        name_of = {row['id']: row['name'] for row in official['categories']}
        expected = [row for row in official['annotations'] if name_of[row['category_id']] in names]
        assert made['annotations'] == expected and 0 < len(expected) < len(official['annotations'])
        assert {image['id'] for image in made['images']} == {row['image_id'] for row in expected}
        assert {row['id']: row['name'] for row in made['categories']}.items() <= name_of.items()


@pytest.mark.parametrize(('options', 'listed', 'labels'), [
    ([], ['wok', 'bun', 'ant'], [0, 2]), (['--base-categories'], ['wok', 'ant'], [0, 1])])
def test_lvis_by_hand(monkeypatch, lvis, capsys, options, listed, labels):
    run(monkeypatch, 'prepare_ov_lvis', '--data-root', lvis, *options)
    folder = lvis / 'annotations'
    content = json.loads((folder / 'lvis_v1_train_base.json').read_text())
    assert [image['id'] for image in content['images']] == [1, 3]
    assert [row['id'] for row in content['annotations']] == [1, 4]
    assert [row['name'] for row in content['categories']] == listed and content['categories'][-1]['id'] == 7
    assert [(folder / f'lvis_v1_{name}.txt').read_text().split() for name in ('base', 'novel', 'all')] == [
        ['wok', 'ant'], ['bun'], ['wok', 'bun', 'ant']]
    printed = capsys.readouterr().out
    assert 'base classes: 2 DEVIATES from 866' in printed and 'novel classes: 1 DEVIATES from 337' in printed
    assert 'rare classes: 1\n' in printed and 'categories of val: those of train' in printed
    datasets = pytest.importorskip('mmdet.datasets', reason='needs mmdet')
    read = datasets.LVISV1Dataset(data_root=str(lvis), ann_file='annotations/lvis_v1_train_base.json', pipeline=[],
                                  data_prefix={'img': ''}, metainfo={'classes': str(folder / 'lvis_v1_all.txt')})
    assert list(read.metainfo['classes']) == ['wok', 'bun', 'ant'] and len(read.cat_ids) == len(listed)
    assert [read.get_data_info(i)['instances'][0]['bbox_label'] for i in range(2)] == labels
    assert read.get_data_info(0)['img_path'].endswith('train2017/1.jpg')


def test_lvis_val_with_other_frequencies(monkeypatch, lvis, capsys):
    path = lvis / 'annotations' / 'lvis_v1_val.json'
    content = json.loads(path.read_text())
    content['categories'][0]['frequency'] = 'c'
    path.write_text(json.dumps(content))
    with pytest.raises(SystemExit, match='deviate'):
        run(monkeypatch, 'prepare_ov_lvis', '--data-root', lvis, '--strict')
    assert "categories of val: DEVIATE from train, first (1, ('wok'," in capsys.readouterr().out
    with pytest.raises(SystemExit, match='lvis_v1_train_base.json, .*: found there already'):
        run(monkeypatch, 'prepare_ov_lvis', '--data-root', lvis)


def test_lvis_without_frequencies(monkeypatch, lvis):
    path = lvis / 'annotations' / 'lvis_v1_train.json'
    path.write_text(json.dumps({'images': [], 'annotations': [], 'categories': [{'id': 1, 'name': 'wok'}]}))
    with pytest.raises(SystemExit, match=r'lvis_v1_train\.json: categories: wok: found the frequency None'):
        run(monkeypatch, 'prepare_ov_lvis', '--data-root', lvis)
