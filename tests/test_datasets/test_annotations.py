import json
import re
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


@pytest.mark.parametrize('box', [
    [1, 2, 0, 5], [5, 5, 3, 0], [40, 0, 9, 9], [0, 30, 9, 9], [-9, 0, 9, 9], [0, -20, 5, 9.5]])
def test_a_box_without_area_inside_its_image_is_left_out_and_counted(tmp_path: Path, box: list) -> None:
    content = coco(3)
    content['annotations'][1]['bbox'] = box
    table = load(write_json(tmp_path / 'a.json', content))
    assert table.first.tolist() == [0, 0, 1, 2] and table.record(2).labels.tolist() == [0]
    np.testing.assert_array_equal(table.record(2).boxes, [[1, 2, 12, 12]])
    assert re.search(r'left out 1 of 3 boxes; the first: .*a\.json: annotations\[1\]\.bbox: found \[.*\] in image 12 '
                     r'of width x height 40 x 30, expected \[x, y, .* with an area inside the image', table.left_out)


def test_a_box_that_sticks_out_stays_and_stuff_needs_no_box(tmp_path: Path) -> None:
    content = coco(3)
    content['annotations'][1]['bbox'] = [-5, 29.5, 100, 100]
    assert load(write_json(tmp_path / 'a.json', content)).left_out == ''
    path = panoptic_root(tmp_path) / 'panoptic.json'
    panoptic = json.loads(path.read_text())
    for segment in panoptic['annotations'][0]['segments_info']:
        segment['bbox'] = [0, 0, 0, 0]
    table = load(write_json(path, panoptic), SEGMENTS)
    assert table.segment_ids.tolist() == [300, 70000] and 'left out 1 of 3 boxes' in table.left_out


def test_boxes_of_another_image_size_are_refused(tmp_path: Path) -> None:
    content = coco(3)
    for row in content['annotations']:
        row['bbox'] = [500, 500, 10, 10]
    with pytest.raises(ValueError, match=r'annotations\[0\]\.bbox: found \[500.* in image 11 of width x height 40 x '
                       '30, expected .* with an area inside the image; none of the 3 boxes has one'):
        load(write_json(tmp_path / 'a.json', content))


def test_without_a_size_in_the_json_only_the_area_counts(tmp_path: Path) -> None:
    content = coco(3)
    for image in content['images']:
        del image['height'], image['width']
    content['annotations'][0]['bbox'], content['annotations'][1]['bbox'] = [900, 0, 5, 5], [1, 1, 0, 9]
    table = load(write_json(tmp_path / 'a.json', content))
    assert table.boxes[0].tolist() == [900, 0, 5, 5] and 'left out 1 of 3 boxes' in table.left_out


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


def mistyped(key: str, entry: int, **fields: object) -> dict:
    """A valid file with some fields of one entry replaced, by null where None."""
    content = coco(3)
    content[key][entry].update(fields)
    return content


def segments(infos: object) -> dict:
    return coco(3, annotations=[{'image_id': 10, 'file_name': '0.png', 'segments_info': infos}])


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
    'null for annotations': (coco(3, annotations=None), BOX, r"annotations: found None, expected a list 'annotations'"),
    'text for images': (coco(3, images='a'), BOX, r"images: found 'a', expected a list 'images'"),
    'null for an image': (coco(3, images=[None]), BOX, r"images\[0\]: found None, expected 'id'"),
    'null for an annotation': (coco(3, annotations=[None]), BOX, r"annotations\[0\]: found None, expected 'image_id'"),
    'null image id': (mistyped('images', 1, id=None), BOX, r'images\[1\]\.id: found None, expected an id: a whole'),
    'list for an image id': (mistyped('images', 1, id=[1]), BOX, r'images\[1\]\.id: found \[1\], expected an id'),
    'null file name': (mistyped('images', 1, file_name=None), BOX,
                       r'images\[1\]\.file_name: found None, expected the name of the image file'),
    'number for a file name': (mistyped('images', 1, file_name=7), BOX, r'images\[1\]\.file_name: found 7, expected'),
    'null height': (mistyped('images', 0, height=None), BOX,
                    r'images\[0\]\.height: found None, expected a number of pixels, or no such key'),
    'text for a width': (mistyped('images', 2, width='40'), BOX, r"images\[2\]\.width: found '40', expected a number"),
    'null image_id': (mistyped('annotations', 2, image_id=None), BOX,
                      r'annotations\[2\]\.image_id: found None, expected an id'),
    'list for an image_id': (mistyped('annotations', 2, image_id=[10]), BOX,
                             r'annotations\[2\]\.image_id: found \[10\]'),
    'null bbox': (mistyped('annotations', 1, bbox=None), BOX, r'annotations\[1\]\.bbox: found None, expected \[x, y'),
    'null category_id': (mistyped('annotations', 1, category_id=None), BOX_AND_LABEL,
                         r'annotations\[1\]\.category_id: found None, expected an id'),
    'null categories': (coco(3, categories=None), BOX_AND_LABEL,
                        r"categories: found None, expected a list 'categories'"),
    'text for a category': (coco(3, categories=['cat']), BOX_AND_LABEL, r"categories\[0\]: found 'cat', expected 'id'"),
    'null category name': (mistyped('categories', 1, name=None), BOX_AND_LABEL,
                           r'categories\[1\]\.name: found None, expected a text'),
    'text for isthing': (mistyped('categories', 1, isthing='0'), BOX_AND_LABEL,
                         r"categories\[1\]\.isthing: found '0', expected 0 or 1"),
    'ids of two kinds': (mistyped('categories', 1, id='3'), BOX_AND_LABEL,
                         r'categories: found ids that are numbers and'),
    'category id twice': (mistyped('categories', 1, id=7), BOX_AND_LABEL,
                          r'categories: found the id 7 twice, expected a different id for each: of two equal classes'),
    'category name twice': (mistyped('categories', 1, name='cat'), BOX_AND_LABEL,
                            r"categories: found the name 'cat' twice, expected a different name for each"),
    'null segments': (segments(None), SEGMENTS, r'annotations\[0\]\.segments_info: found None, expected a list'),
    'null for a segment': (segments([None]), SEGMENTS, r"segments_info\[0\]: found None, expected 'bbox'"),
    'text for a segment id': (segments([{'id': 'a', 'bbox': [0, 0, 5, 5], 'category_id': 3}]), SEGMENTS,
                              r"segments_info\[0\]\.id: found 'a', expected a whole number"),
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
