import json
from pathlib import Path

import pytest

from rsc_mm.models.text import read_class_names, vocabularies


def test_vocabularies_have_their_known_sizes() -> None:
    sizes = {name: len(read_class_names(name)) for name in vocabularies()}
    assert {'coco': 80, 'coco_panoptic': 133, 'coco_base': 48, 'coco_novel': 17, 'ov_coco': 65}.items() <= sizes.items()


def test_coco_lists_fit_together() -> None:
    coco, base, novel = (read_class_names(name) for name in ('coco', 'coco_base', 'coco_novel'))
    assert read_class_names('coco_panoptic')[:80] == coco  # things come first, in the order of their ids
    assert read_class_names('ov_coco') == [name for name in coco if name in set(base) | set(novel)]
    assert not set(base) & set(novel)


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
