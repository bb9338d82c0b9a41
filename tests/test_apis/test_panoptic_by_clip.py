import json
import shutil

import numpy as np
import pytest

import rsc_mm
from rsc_mm.apis.analysis.panoptic import panoptic_by_clip, read_panoptic
from rsc_mm.datasets.image_io import read_segments

CHECKPOINT = 'projects/shapes_clip/shapes_clip.pt'



@pytest.fixture(scope='module')
def world(shapes_root):
    return shapes_root / 'annotations/panoptic_val.json', shapes_root / 'panoptic_val', shapes_root / 'val'


@pytest.fixture(scope='module')
def model():
    return rsc_mm.load(CHECKPOINT, device='cpu')


def test_annotated_masks_are_perfect_and_clip_names_them_as_region_classification(world, model):
    truth, crowds = read_panoptic(*world)
    assert not crowds
    rows = panoptic_by_clip(model, truth, crowds, truth, list(truth.classes))
    assert rows['own classes'] == (100, 100, 100)
    record = truth.record(0)
    pixels = read_segments(record.segmentation_path, record.shape).numpy()
    masks = np.stack([pixels == number for number in record.segment_ids])
    right = model.classify_regions(record.img_path, masks, list(truth.classes)).labels == record.labels
    assert 0 < rows['CLIP'][0] < 60 and not right.all()


def test_predictions_of_another_file(world, model, tmp_path):
    raw = json.loads(world[0].read_text())
    removed = raw['annotations'][0]['segments_info'].pop()
    path = tmp_path / 'found.json'
    path.write_text(json.dumps(raw))
    truth, crowds = read_panoptic(*world)
    found, _ = read_panoptic(path, world[1])
    assert panoptic_by_clip(model, truth, crowds, found, list(truth.classes))['own classes'][0] < 100
    assert removed['id']
    del raw['annotations'][0]
    path.write_text(json.dumps(raw))
    with pytest.raises(ValueError, match='expected one for every image'):
        panoptic_by_clip(model, truth, crowds, read_panoptic(path, world[1])[0], list(truth.classes))
    raw['categories'][0]['name'] = 'disc'
    path.write_text(json.dumps(raw))
    with pytest.raises(ValueError, match='expected the 18 of the annotation'):
        panoptic_by_clip(model, truth, crowds, read_panoptic(path, world[1])[0], list(truth.classes))


def test_the_tool_prints_both_rows(world, tmp_path, capsys, monkeypatch):
    import runpy
    import sys
    root = tmp_path / 'few'
    root.mkdir()
    raw = json.loads(world[0].read_text())
    raw['images'], raw['annotations'] = raw['images'][:1], raw['annotations'][:1]
    (root / 'val.json').write_text(json.dumps(raw))
    shutil.copytree(world[1], root / 'png')
    monkeypatch.setattr(sys, 'argv', ['panoptic_by_clip.py', CHECKPOINT, str(root / 'val.json'), str(root / 'png'),
                                      str(world[2])])
    runpy.run_path('tools/analysis/panoptic_by_clip.py', run_name='__main__')
    printed = capsys.readouterr().out
    assert '| own classes | 100.0 | 100.0 | 100.0 |' in printed and '| CLIP |' in printed
