import copy
import json
from pathlib import Path

import pytest

from rsc_mm.datasets.open_vocabulary import (
    OV_COCO_COUNTS,
    OV_LVIS_COUNTS,
    category_ids,
    check_classes,
    compare_counts,
    frequency_ids,
    split_annotations,
    write_annotations,
)
from rsc_mm.models.text import read_class_names

# Image 1 shows a dog (base) and a cat (novel), 2 a cat, 3 nothing, 4 a crowd of dogs; the ids are out of order.
CONTENT = {
    'info': {'year': 2017},
    'images': [{'id': i, 'file_name': f'{i}.jpg', 'height': 5, 'width': 5} for i in (4, 1, 3, 2)],
    'annotations': [{'id': 10, 'image_id': 1, 'category_id': 90, 'bbox': [0, 0, 1, 1], 'iscrowd': 0},
                    {'id': 11, 'image_id': 1, 'category_id': 7, 'bbox': [0, 0, 2, 2], 'iscrowd': 0},
                    {'id': 12, 'image_id': 2, 'category_id': 7, 'bbox': [0, 0, 3, 3], 'iscrowd': 0},
                    {'id': 13, 'image_id': 4, 'category_id': 90, 'bbox': [0, 0, 4, 4], 'iscrowd': 1},
                    {'id': 14, 'image_id': 4, 'category_id': 50, 'bbox': [0, 0, 4, 4], 'iscrowd': 0}],
    'categories': [{'id': 90, 'name': 'dog', 'frequency': 'f'}, {'id': 7, 'name': 'cat', 'frequency': 'r'},
                   {'id': 50, 'name': 'hat', 'frequency': 'c'}],
}


def test_split_by_hand() -> None:
    before = copy.deepcopy(CONTENT)
    part = split_annotations(CONTENT, [90], [7, 90])
    assert [image['id'] for image in part['images']] == [4, 1]
    assert [row['id'] for row in part['annotations']] == [10, 13]
    assert [row['id'] for row in part['categories']] == [7, 90]
    assert part['info'] == {'year': 2017} and CONTENT == before
    assert split_annotations(part, [90], [7, 90]) == part


def test_splits_into_base_and_novel_make_the_whole() -> None:
    base, novel = (split_annotations(CONTENT, ids, ids) for ids in ([50, 90], [7]))
    ids = sorted(row['id'] for part in (base, novel) for row in part['annotations'])
    assert ids == [10, 11, 12, 13, 14]
    assert {image['id'] for part in (base, novel) for image in part['images']} == {1, 2, 4}


def test_annotated_classes_are_listed() -> None:
    with pytest.raises(ValueError, match=r'annotated: found the ids \[90\], expected listed'):
        split_annotations(CONTENT, [7, 90], [7])


def test_ids_follow_the_names() -> None:
    assert category_ids(CONTENT, ['hat', 'dog']) == [50, 90]
    with pytest.raises(ValueError, match='found none named cow among the 3, expected all of 2'):
        category_ids(CONTENT, ['dog', 'cow'])
    with pytest.raises(ValueError, match="'dog' twice"):
        category_ids({'categories': CONTENT['categories'] * 2}, ['dog'])


def test_frequencies() -> None:
    assert frequency_ids(CONTENT) == {'r': [7], 'c': [50], 'f': [90]}
    with pytest.raises(ValueError, match='dog: found the frequency None, expected one of r, c, f'):
        frequency_ids({'categories': [{'id': 1, 'name': 'dog'}]})


@pytest.mark.parametrize(('classes', 'message'), [
    (['dog', 'hat', 'cat'], "3 classes with 'hat' at label 1, expected the 3 categories of .* with 'cat' there"),
    (['dog', 'cat'], "2 classes with nothing at label 2, .* with 'hat' there"),
    (['dog', 'cat', 'hat', 'cow'], "4 classes with 'cow' at label 3, .* with nothing there")])
def test_order_of_classes(classes: list[str], message: str) -> None:
    check_classes(CONTENT, ['dog', 'cat', 'hat'])
    with pytest.raises(ValueError, match=message):
        check_classes(CONTENT, classes)


def test_counts_tell_what_deviates() -> None:
    lines, as_known = compare_counts({'images': 1234, 'boxes': 5}, {'images': 1234, 'other': 1})
    assert lines == ['images: 1,234 as known', 'boxes: 5'] and as_known
    lines, as_known = compare_counts({'images': 50}, {'images': 107761})
    assert lines == ['images: 50 DEVIATES from 107,761'] and not as_known


def test_vocabularies_are_the_known_split() -> None:
    coco, classes, base, novel = (read_class_names(n) for n in ('coco', 'ov_coco', 'coco_base', 'coco_novel'))
    assert [len(classes), len(base), len(novel)] == [OV_COCO_COUNTS[f'{n}classes'] for n in ('', 'base ', 'novel ')]
    assert not set(base) & set(novel)
    assert classes == [name for name in coco if name in {*base, *novel}]  # the order of the official ids
    assert OV_LVIS_COUNTS['base classes'] + OV_LVIS_COUNTS['novel classes'] == OV_LVIS_COUNTS['classes']


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / 'new' / 'a.json'
    write_annotations(path, {'images': []})
    assert json.loads(path.read_text()) == {'images': []}
    with pytest.raises(FileExistsError, match='expected none'):
        write_annotations(path, {})
    assert [p.name for p in path.parent.iterdir()] == ['a.json']
