from pathlib import Path

import numpy as np
import pytest

from rsc_mm.datasets.annotations import list_images, load_coco
from rsc_mm.datasets.region_table import merge_tables

from .toy import coco, panoptic_root, save_image, write_json

BOX = ('bbox', )
BOX_AND_LABEL = ('bbox', 'category_id')
SEGMENTS = ('segments_info', 'bbox', 'category_id')


def load(path: str, needs: tuple[str, ...] = BOX_AND_LABEL) -> object:
    return load_coco(path, 'images', needs, 'panoptic')


def test_rows_are_grouped_by_image(tmp_path: Path) -> None:
    content = coco(3)
    content['annotations'].reverse()
    table = load(write_json(tmp_path / 'a.json', content))
    assert table.img_ids == [10, 11, 12] and table.first.tolist() == [0, 0, 1, 3]
    record = table.record(2)
    assert (record.img_path, record.shape) == ('images/2.jpg', (30, 40))
    np.testing.assert_array_equal(record.boxes, [[1, 2, 12, 12], [0, 0, 12, 12]])
    assert record.labels.tolist() == [0, 1] and table.classes == ('dog', 'cat')  # order of the ids 3, 7
    assert record.is_thing.all()


def test_lvis_names_its_files_by_url(tmp_path: Path) -> None:
    content = coco(1)
    del content['images'][0]['file_name']
    content['images'][0]['coco_url'] = 'http://host.org/train2017/000000000009.jpg'
    assert load(write_json(tmp_path / 'a.json', content)).img_paths == ['images/train2017/000000000009.jpg']


def test_panoptic_segments(tmp_path: Path) -> None:
    table = load(str(panoptic_root(tmp_path) / 'panoptic.json'), SEGMENTS)
    record = table.record(0)
    assert record.segmentation_path == 'panoptic/0.png' and table.classes == ('rug', 'cat', 'sky')
    assert record.segment_ids.tolist() == [1, 300, 70000]
    assert record.labels.tolist() == [1, 2, 0] and record.is_thing.tolist() == [True, False, False]


def test_annotations_without_boxes_do_where_none_is_needed(tmp_path: Path) -> None:
    content = coco(2, annotations=[{'image_id': 10, 'caption': 'a cat'}])
    assert len(load(write_json(tmp_path / 'a.json', content), ())) == 2


def test_zero_size_box_passes(tmp_path: Path) -> None:
    content = coco(2)
    content['annotations'][0]['bbox'] = [1, 2, 0, 5]
    assert load(write_json(tmp_path / 'a.json', content)).boxes.tolist() == [[1, 2, 0, 5]]


def test_merged_roots_keep_their_rows_and_get_unique_ids(tmp_path: Path) -> None:
    table = load(write_json(tmp_path / 'a.json', coco(3)))
    merged = merge_tables([table, table])
    assert len(merged) == 6 and len(set(merged.img_ids)) == 6 and merged.img_ids[4] == '1/11'
    for i in range(3):
        for part in (merged.record(i), merged.record(i + 3)):
            np.testing.assert_array_equal(part.boxes, table.record(i).boxes)
            np.testing.assert_array_equal(part.labels, table.record(i).labels)


def test_roots_of_different_classes_are_refused(tmp_path: Path) -> None:
    tables = [load(write_json(tmp_path / 'a.json', coco(1, categories=c)))
              for c in ([{'id': 1, 'name': 'x'}], [{'id': 1, 'name': 'y'}])]
    with pytest.raises(ValueError, match='ann_file: found 1 classes in root 1, expected the 1 classes of root 0'):
        merge_tables(tables)


def test_folder_lists_images_below_it_in_order(tmp_path: Path) -> None:
    for name in ('b/1.PNG', 'a.jpg', 'b/0.jpeg'):
        save_image(tmp_path / name)
    (tmp_path / 'notes.txt').write_text('x')
    table = list_images(str(tmp_path))
    assert [Path(p).name for p in table.img_paths] == ['a.jpg', '0.jpeg', '1.PNG']
    assert table.record(0).shape == (-1, -1) and table.record(0).boxes.shape == (0, 4)


def changed(key: str, entry: int, **fields: object) -> dict:
    """A valid file with some fields of one entry replaced, or removed where None."""
    content = coco(3)
    content[key][entry].update(fields)
    content[key][entry] = {k: v for k, v in content[key][entry].items() if v is not None}
    return content


def without(key: str) -> dict:
    return {k: v for k, v in coco(3).items() if k != key}


BAD_FILES = {
    'list': ([1], BOX, r'found a list at the top level, expected an object'),
    'no images': (without('images'), BOX, r"found the keys .*, expected a list 'images'"),
    'empty images': (coco(0), BOX, r'images: found an empty list, expected at least one'),
    'image id twice': (changed('images', 1, id=10), BOX, r'images: found the id 10 twice, expected unique'),
    'image without id': (changed('images', 1, id=None), BOX, r"images\[1\]: found the keys .*, expected 'id'"),
    'image without file': (changed('images', 1, file_name=None), BOX, r"image 11: found .*, expected 'file_name'"),
    'no annotations': (without('annotations'), BOX, r"found the keys .*, expected a list 'annotations' with"),
    'no image_id': (changed('annotations', 2, image_id=None), BOX,
                    r"annotations\[2\]: found the keys .*, expected 'image_id'"),
    'unknown image_id': (changed('annotations', 2, image_id=99), BOX,
                         r"annotations\[2\]\.image_id: found 99, expected an id of the 3 entries of 'images'"),
    'no bbox': (changed('annotations', 1, bbox=None), BOX, r"annotations\[1\]: found the keys .*, expected 'bbox'"),
    'negative box': (changed('annotations', 1, bbox=[1, 2, -3, 4]), BOX,
                     r'annotations\[1\]\.bbox: found \[1, 2, -3, 4\], expected .*not negative'),
    'box of three': (changed('annotations', 1, bbox=[1, 2, 3]), BOX, r'annotations\[1\]\.bbox: found \[1, 2, 3\]'),
    'box of text': (changed('annotations', 1, bbox=['1', 2, 3, 4]), BOX, r"bbox: found \['1', 2, 3, 4\], expected"),
    'infinite box': (changed('annotations', 1, bbox=[1, 2, 3, float('inf')]), BOX, r'bbox: found .*inf.*, expected'),
    'no categories': (without('categories'), BOX_AND_LABEL, r"found the keys .*, expected a list 'categories'"),
    'unknown category': (changed('annotations', 0, category_id=4), BOX_AND_LABEL,
                         r"annotations\[0\]\.category_id: found 4, expected an id of the 2 entries of 'categories'"),
    'not panoptic': (changed('annotations', 0, file_name='0.png'), SEGMENTS,
                     r'annotations\[\d\]: found the keys .*, expected'),
}


@pytest.mark.parametrize('case', BAD_FILES)
def test_bad_file_is_named(tmp_path: Path, case: str) -> None:
    content, needs, message = BAD_FILES[case]
    path = write_json(tmp_path / 'bad.json', content)
    with pytest.raises(ValueError, match=r'bad\.json: .*' + message):
        load(path, needs)


def test_missing_and_broken_json(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r'nowhere\.json: found no such file, expected a COCO-style json'):
        load(str(tmp_path / 'nowhere.json'))
    (tmp_path / 'cut.json').write_text('{"images": [')
    with pytest.raises(ValueError, match=r'cut\.json: found no valid json .*line 1 column 13.*, expected COCO-style'):
        load(str(tmp_path / 'cut.json'))


def test_missing_and_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match='nowhere: found no such folder, expected one with images'):
        list_images(str(tmp_path / 'nowhere'))
    with pytest.raises(FileNotFoundError, match=r'found no image file, expected one of \.jpg'):
        list_images(str(tmp_path))
