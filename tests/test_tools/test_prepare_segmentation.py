"""The tools that make label maps, on tiny files of the official form; numbers worked by hand."""
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rsc_mm.datasets.label_maps import IGNORE, read_label_map
from rsc_mm.datasets.label_sources import COCO_STUFF_IDS, ade_sized
from rsc_mm.models.text import read_class_names

from .common import load_tool


def run(monkeypatch: pytest.MonkeyPatch, tool: str, *arguments: object) -> None:
    monkeypatch.setattr(sys, 'argv', [tool, *map(str, arguments), '--processes', '1'])
    load_tool(f'data/{tool}').main()


def save(path: Path, pixels: list) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.array(pixels, np.uint8)).save(path)


def test_coco_stuff(tmp_path, monkeypatch, capsys):
    """Number minus 1 in the file: 0 person, 12 stop sign (id 13, 12 is unused), 89 toothbrush, 91 banner, 181 wood."""
    save(tmp_path / 'in' / '7.png', [[0, 12, 89, 91, 181, 255]])
    run(monkeypatch, 'prepare_coco_stuff', tmp_path / 'in', tmp_path / 'out')
    assert 'wrote 1 maps of 171 classes and 1 of 81' in capsys.readouterr().out
    stuff = read_label_map(tmp_path / 'out' / '7_labelTrainIds.png')
    names, objects = read_class_names('coco_stuff'), read_class_names('coco_object')
    assert [names[i] for i in stuff[0, :5]] == ['person', 'stop sign', 'toothbrush', 'banner', 'wood']
    things = read_label_map(tmp_path / 'out' / '7_object.png')[0].tolist()
    assert stuff[0, 5] == IGNORE and [objects[i] for i in things] == names[:1] + ['stop sign', 'toothbrush'] + \
        ['background'] * 3
    assert len(COCO_STUFF_IDS) == len(names) == 171


def test_coco_stuff_refuses_other_files(tmp_path, monkeypatch):
    save(tmp_path / 'in' / '7.png', [[0, 11]])
    with pytest.raises(ValueError, match=r'7.png: found the numbers \[11\], expected those of COCO-Stuff'):
        run(monkeypatch, 'prepare_coco_stuff', tmp_path / 'in', tmp_path / 'out')
    with pytest.raises(SystemExit, match='found no .*expected the files of stuffthingmaps'):
        run(monkeypatch, 'prepare_coco_stuff', tmp_path / 'none', tmp_path / 'out')


def test_pascal_context(tmp_path, monkeypatch):
    """397 is table, 440 wall, 459 wool (not of the 59), 0 unlabelled."""
    savemat = pytest.importorskip('scipy.io', reason='needs scipy').savemat
    (tmp_path / 'trainval').mkdir()
    (tmp_path / 'ImageSets' / 'Main').mkdir(parents=True)
    savemat(tmp_path / 'trainval' / '2008_1.mat', dict(LabelMap=np.array([[397, 440, 459, 0]], np.uint16)))
    (tmp_path / 'ImageSets' / 'Main' / 'val.txt').write_text('2008_1\n')
    run(monkeypatch, 'prepare_pascal_context', tmp_path)
    many = read_label_map(tmp_path / 'context459' / '2008_1.png')[0].tolist()
    names = read_class_names('pc459')
    assert [names[i] for i in many[:3]] == ['table', 'wall', 'wool'] and many[3] == IGNORE
    few = read_label_map(tmp_path / 'SegmentationClassContext' / '2008_1.png')[0].tolist()
    assert [read_class_names('pc60')[i] for i in few] == ['diningtable', 'wall', 'background', 'background']
    assert (tmp_path / 'ImageSets' / 'SegmentationContext' / 'val.txt').read_text() == '2008_1\n'
    (tmp_path / 'ImageSets' / 'Main' / 'val.txt').write_text('2008_1\n2008_2\n')
    with pytest.raises(SystemExit, match=r"found no .mat for 1 of 2 names .*\['2008_2'\].*trainval.tar.gz"):
        run(monkeypatch, 'prepare_pascal_context', tmp_path)


def test_ade847(tmp_path, monkeypatch, capsys):
    """Numbers are 256 * (R // 10) + G: wall 2978 = (110, 162), sky 2420 = (90, 116); 5 has no name, 'xyz' no class."""
    folder = tmp_path / 'in' / 'urban'
    save(folder / 'a.jpg', np.zeros((1, 5, 3)))
    save(folder / 'a_seg.png', [[[110, 162, 9], [119, 162, 7], [90, 116, 1], [0, 5, 1], [0, 7, 1]]])
    objects = [dict(name_ndx=2978, name='wall'), dict(name_ndx=2420, name='sky'), dict(name_ndx=7, name='xyz')]
    (folder / 'a.json').write_text(json.dumps(dict(annotation=dict(object=objects))))
    run(monkeypatch, 'prepare_ade847', tmp_path / 'in', tmp_path / 'out')
    said = capsys.readouterr().out
    assert '2 of 847 classes, 40.0 % of an image' in said and 'WARNING: 1 images' in said and '[5]' in said
    assert read_label_map(tmp_path / 'out' / 'labels' / 'a.png').tolist() == [[0, 0, 2, IGNORE, IGNORE]]
    assert (tmp_path / 'out' / 'images' / 'a.jpg').is_file()
    (folder / 'a.json').write_text('{}')
    with pytest.raises(ValueError, match="a.json: found KeyError.*expected a json of ADE20K's full release"):
        run(monkeypatch, 'prepare_ade847', tmp_path / 'in', tmp_path / 'out')


def test_ade_images_get_a_short_side_of_512_and_labels_are_never_mixed():
    labels = np.tile(np.int32([[0, 846], [300, IGNORE]]).repeat(300, 0).repeat(450, 1), (1, 1))
    image, small = ade_sized(np.zeros((600, 900, 3), np.uint8), labels)
    assert image.shape == (512, 768, 3) and small.shape == (512, 768)
    assert set(np.unique(small)) == {0, 300, 846, IGNORE}
    assert ade_sized(np.zeros((512, 900, 3), np.uint8), labels[:512])[1].shape == (512, 900)


def test_panoptic(tmp_path, monkeypatch, shapes_root, capsys):
    run(monkeypatch, 'panoptic_to_semantic', shapes_root / 'annotations' / 'panoptic_val.json',
        shapes_root / 'panoptic_val', tmp_path)
    assert 'wrote 6 maps of 18 classes' in capsys.readouterr().out
    entry = json.loads((shapes_root / 'annotations' / 'panoptic_val.json').read_text())['annotations'][0]
    labels = read_label_map(tmp_path / entry['file_name'])
    for info in entry['segments_info']:
        assert (labels == info['category_id'] - 1).sum() >= info['area']
    assert sum(info['area'] for info in entry['segments_info']) == (labels != IGNORE).sum()
