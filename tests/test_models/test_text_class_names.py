import json
from pathlib import Path

import pytest

from rsc_mm.datasets.creatures import NOVEL_THINGS, THINGS
from rsc_mm.datasets.open_vocabulary import OV_LVIS_COUNTS
from rsc_mm.datasets.shapes_world import THING_CATEGORIES
from rsc_mm.models.text import clean_name, match_names, read_aliases, read_class_names, vocabularies


def test_vocabularies_have_their_known_sizes() -> None:
    sizes = {name: len(read_class_names(name)) for name in vocabularies()}
    assert sizes.items() >= {
        'coco': 80, 'coco_panoptic': 133, 'coco_base': 48, 'coco_novel': 17, 'ov_coco': 65, 'coco_stuff': 171,
        'lvis': OV_LVIS_COUNTS['classes'], 'lvis_base': OV_LVIS_COUNTS['base classes'], 'objects365v1': 365,
        'voc20': 20, 'voc20b': 59, 'pc59': 59, 'pc459': 459, 'ade150': 150, 'ade847': 847, 'cityscapes': 19}.items()
    for name in vocabularies():
        assert len(set(read_class_names(name))) == sizes[name], name


def test_coco_lists_fit_together() -> None:
    coco, base, novel = (read_class_names(name) for name in ('coco', 'coco_base', 'coco_novel'))
    assert read_class_names('coco_panoptic')[:80] == coco  # things come first, in the order of their ids
    assert read_class_names('ov_coco') == [name for name in coco if name in set(base) | set(novel)]
    assert not set(base) & set(novel)


def test_lvis_is_spelt_as_in_the_official_file() -> None:
    lvis, base = read_class_names('lvis'), read_class_names('lvis_base')
    assert lvis[654] == 'speaker_(stero_equipment)'  # id 655; mmdet's METAINFO corrects it
    assert lvis[0] == 'aerosol_can' and lvis[-1] == 'zucchini'
    assert base == [name for name in lvis if name in set(base)]  # in the order of the ids
    # The frequency of a few categories, as the LVIS paper's tables and the file give them.
    assert {'person', 'zebra', 'banana', 'speaker_(stero_equipment)'} <= set(base)
    assert not {'applesauce', 'crawfish', 'wolf', 'violin'} & set(base)


def test_lvis_differs_from_mmdet_in_one_name() -> None:
    dataset = pytest.importorskip('mmdet.datasets').LVISV1Dataset
    pairs = zip(read_class_names('lvis'), dataset.METAINFO['classes'], strict=True)
    assert [pair for pair in pairs if len(set(pair)) > 1] == [
        ('speaker_(stero_equipment)', 'speaker_(stereo_equipment)')]


def test_shapes_are_those_of_the_generator() -> None:
    assert read_class_names('shapes_things') == [row['name'] for row in THING_CATEGORIES]
    assert read_class_names('shapes_base') == [row['name'] for row in THING_CATEGORIES if row['split'] == 'base']


def test_creatures_are_those_of_the_generator() -> None:
    assert read_class_names('creatures_things') == list(THINGS)
    assert read_class_names('creatures_base') == [name for name in THINGS if name not in NOVEL_THINGS]


@pytest.mark.parametrize('vocabulary,label,text', [
    ('voc20', 'diningtable', 'dining table'), ('voc20', 'pottedplant', 'potted plant'),
    ('voc20b', 'tvmonitor', 'tv monitor'), ('pc59', 'diningtable', 'dining table'),
    ('pc459', 'babycarriage', 'baby carriage'), ('objects365v1', 'hamimelon', 'hami melon'),
    ('objects365v1', 'pine apple', 'pineapple'), ('lvis', 'speaker_(stero_equipment)', 'speaker (stereo equipment)'),
    ('lvis_base', 'monitor_(computer_equipment) computer_monitor', 'computer monitor'),
    ('coco_stuff', 'wall-brick', 'brick wall')])
def test_labels_stay_and_prompts_read_english(vocabulary: str, label: str, text: str) -> None:
    assert label in read_class_names(vocabulary) and read_aliases(vocabulary)[label] == text


def test_aliases_are_words_of_known_labels() -> None:
    names = {name: read_class_names(name) for name in vocabularies()}
    known = {label for labels in names.values() for label in labels}
    for vocabulary in names:
        aliases = read_aliases(vocabulary)
        assert aliases.keys() <= known and all(clean_name(text) == text.lower() for text in aliases.values())
    assert read_aliases('coco_panoptic') == {}  # embedded as the public code does, suffixes and all


def test_aliases_of_files_and_lists(tmp_path: Path) -> None:
    path = tmp_path / 'names.json'
    path.write_text(json.dumps({'names': ['tvmonitor', 'cat'], 'aliases': 'voc20'}))
    assert read_class_names(path) == ['tvmonitor', 'cat'] and read_aliases(path)['tvmonitor'] == 'tv monitor'
    path.write_text(json.dumps({'images': [], 'categories': [{'id': 1, 'name': 'cat'}]}))
    assert read_aliases(path) == read_aliases(['cat']) == read_aliases(None) == {}
    assert read_aliases({'cat': 'house cat'}) == {'cat': 'house cat'}
    with pytest.raises(ValueError, match="found 3 for 'cat', expected a text"):
        read_aliases({'cat': 3})
    with pytest.raises(FileNotFoundError, match="'no_such_list'"):
        read_aliases('no_such_list')


def test_files(tmp_path: Path) -> None:
    categories = [{'id': 7, 'name': 'cat'}, {'id': 2, 'name': 'dog'}]
    contents = {'list.json': json.dumps(['dog', 'cat']), 'categories.json': json.dumps(categories),
                'coco.json': json.dumps({'images': [], 'categories': categories}), 'lines.txt': 'dog\n\n cat \n'}
    for name, content in contents.items():
        (tmp_path / name).write_text(content)
        assert read_class_names(tmp_path / name) == ['dog', 'cat']
    assert read_class_names(('dog', 'cat')) == ['dog', 'cat']


@pytest.mark.parametrize('content', ['{', '[]', '{"annotations": []}', '[1, 2]', '["dog", ""]'])
def test_bad_files_are_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / 'names.json'
    path.write_text(content)
    with pytest.raises(ValueError, match=r'class names .*names\.json'):
        read_class_names(path)


def test_unknown_vocabulary_lists_the_known() -> None:
    with pytest.raises(FileNotFoundError, match=r"'coco81'.*'coco_panoptic'"):
        read_class_names('coco81')


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path: Path) -> None:
    (tmp_path / 'names.txt').write_text('cat\ndog\n', encoding='utf-8-sig')
    (tmp_path / 'names.json').write_text('["cat", "dog"]', encoding='utf-8-sig')
    assert read_class_names(tmp_path / 'names.txt') == read_class_names(tmp_path / 'names.json') == ['cat', 'dog']


def test_names_are_matched_as_prompts_read_them():
    known = ['traffic light', 'Couch/Sofa', 'dog', 'Dog']
    assert match_names(['Traffic_light', 'couch or sofa', 'hot_dog', 'dog'], known) == [0, 1, -1, 2]
    assert match_names(['cat'], []) == [-1] and match_names([], known) == []
