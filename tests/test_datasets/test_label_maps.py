import numpy as np
import pytest
from PIL import Image

from rsc_mm.datasets.image_io import BadImageError
from rsc_mm.datasets.label_maps import IGNORE, panoptic_to_semantic, read_label_map, renumber, write_label_map


@pytest.mark.parametrize('num_classes, mode', [(2, 'L'), (255, 'L'), (256, 'I;16'), (459, 'I;16'), (847, 'I;16')])
def test_every_class_and_the_ignored_pixels_survive_writing_and_reading(num_classes, mode, tmp_path):
    labels = np.append(np.arange(num_classes), [IGNORE] * (-num_classes % 7 + 7)).reshape(7, -1)  # (7, W)
    path = tmp_path / 'deep' / 'map.png'
    write_label_map(path, labels, num_classes)
    found = read_label_map(path)
    assert found.dtype == np.int32 and np.array_equal(found, labels)
    with Image.open(path) as image:
        assert image.mode == mode
    assert [p.name for p in path.parent.iterdir()] == ['map.png']


def test_palettes_and_tifs_are_read_as_numbers(tmp_path):
    image = Image.fromarray(np.array([[0, 20, 255]], np.uint8), mode='L').convert('P')
    image.putpalette([i % 256 for i in range(768)])
    image.save(tmp_path / 'voc.png')
    assert read_label_map(tmp_path / 'voc.png').tolist() == [[0, 20, IGNORE]]
    Image.fromarray(np.array([[0, 255, 256, 65535]], np.uint16)).save(tmp_path / 'ade.tif')
    assert read_label_map(tmp_path / 'ade.tif').tolist() == [[0, 255, 256, IGNORE]]


@pytest.mark.parametrize('labels', [[[0, 459]], [[-1, 3]], [[0, 65534]]])
def test_labels_that_are_no_classes_are_refused_and_nothing_is_written(labels, tmp_path):
    with pytest.raises(ValueError, match=r'map.png: found the labels .*, expected 0 to 458 or 65535'):
        write_label_map(tmp_path / 'map.png', np.array(labels), 459)
    assert not list(tmp_path.iterdir())


def test_bad_files_are_named(tmp_path):
    with pytest.raises(BadImageError, match='none.png: found No such file'):
        read_label_map(tmp_path / 'none.png')
    (tmp_path / 'broken.png').write_bytes(b'\x89PNG\r\n\x1a\nxx')
    with pytest.raises(BadImageError, match='broken.png: found .*, expected a complete label map'):
        read_label_map(tmp_path / 'broken.png')
    Image.new('RGB', (2, 2)).save(tmp_path / 'colours.png')
    with pytest.raises(BadImageError, match="found an image of mode 'RGB'.*panoptic_to_semantic"):
        read_label_map(tmp_path / 'colours.png')


def test_renumbering_by_hand():
    assert renumber(np.array([[0, 1], [5, IGNORE]]), {1: 0, 5: 300, 70: 2}).tolist() == [[IGNORE, 0], [300, IGNORE]]


def test_panoptic_by_hand_things_of_a_class_join():
    segments = np.array([[0, 7, 7], [9, 9, 70000]])
    found = panoptic_to_semantic(segments, [7, 9, 70000], [3, 3, 0], 'image')
    assert found.tolist() == [[IGNORE, 3, 3], [3, 3, 0]]
    assert (panoptic_to_semantic(np.zeros((2, 3), int), [], [], 'image') == IGNORE).all()
    with pytest.raises(ValueError, match=r"a.png: found the segment ids \[9\], expected those of its 'segments_info'"):
        panoptic_to_semantic(segments, [7, 70000], [3, 0], 'a.png')
