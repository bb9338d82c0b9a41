import json

import numpy as np
import pytest

from rsc_mm.datasets.unknown_objects import read_unknown_objects


def write(path, rows):
    path.write_text(json.dumps(rows))
    return path


def test_boxes_by_image(tmp_path):
    rows = [dict(image_id=7, bbox=[1, 2, 3, 4], weight=0.5, pseudo=1, category_id=-1),
            dict(image_id=9, bbox=[0, 0, 9, 9]), dict(image_id=7, bbox=[5, 6, 7, 8.5], weight=1)]
    found = read_unknown_objects(write(tmp_path / 'a.json', rows))
    assert found.keys() == {7, 9}
    assert found[7][0].tolist() == [[1, 2, 3, 4], [5, 6, 7, 8.5]] and found[7][1].tolist() == [0.5, 1]
    assert found[9][1].tolist() == [1] and found[9][1].dtype == np.float32
    assert read_unknown_objects(write(tmp_path / 'b.json', [])) == {}


@pytest.mark.parametrize('rows, message', [
    (dict(annotations=[]), r'found dict at the top, expected a list of entries with image_id'),
    ([dict(image_id=1, bbox=[0, 0, 1, 1]), dict(bbox=[0, 0, 1, 1])], r"\[1\]: found the keys \['bbox'\].*'image_id'"),
    ([dict(image_id=1, bbox=[0, 0, -1, 1])], r'\[0\].bbox: found \[0, 0, -1, 1\]'),
    ([dict(image_id=1, bbox=[0, 0, 1, 1], weight=0.0)], r'\[0\].weight: found 0.0, expected a number above 0'),
    ([dict(image_id=1, bbox=[0, 0, 1, 1], weight='a')], r"\[0\].weight: found 'a', expected a number above 0"),
])
def test_bad_files(tmp_path, rows, message):
    with pytest.raises(ValueError, match=message):
        read_unknown_objects(write(tmp_path / 'a.json', rows))


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match='found no such file, expected the pseudo boxes.*generate_unknown'):
        read_unknown_objects(tmp_path / 'a.json')
    (tmp_path / 'a.json').write_text('[{')
    with pytest.raises(ValueError, match='cannot be read as json'):
        read_unknown_objects(tmp_path / 'a.json')
