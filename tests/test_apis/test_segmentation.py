"""Segmentation by any names: the API, the tool and mmseg's inferencer on our configurations."""
import sys

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

import rsc_mm
from rsc_mm.datasets.label_maps import read_label_map
from rsc_mm.utils.checkpoint import export_state_dict
from tests.test_tools.common import load_tool, run_tool

pytest.importorskip('mmcv._ext', reason="needs mmcv's operators")
pytest.importorskip('mmseg', reason='needs mmseg')
from rsc_mm.apis.segmentation import load_segmentor, segment  # noqa: E402

pytestmark = pytest.mark.slow  # trains, or starts whole programs

CONFIG = 'configs/shapes/maskclip_shapes.py'
CLIP = 'projects/shapes_clip/shapes_clip.pt'
SCENE = 'projects/shapes_clip/scene.jpg'
NAMES = ['star', 'ring; circle', 'stripes', 'bricks']


@pytest.fixture(scope='module')
def model(tmp_path_factory):
    cache = str(tmp_path_factory.mktemp('embeddings'))
    return load_segmentor(CONFIG, CLIP, NAMES, 'cpu', {'model.class_embeddings.cache_dir': cache})


def test_labels_picture_and_label_map_of_an_image(model, tmp_path):
    found = segment(model, SCENE)
    with Image.open(SCENE) as image:
        assert found.labels.shape == image.size[::-1]
    assert found.classes == ['star', 'ring', 'stripes', 'bricks'] and set(np.unique(found.labels)) <= set(range(4))
    assert found.save(tmp_path / 'a.png').is_file()
    assert np.array_equal(read_label_map(found.save_labels(tmp_path / 'labels.png')), found.labels)


def test_any_kind_of_image_and_an_upright_one(model, tmp_path):
    with Image.open(SCENE) as image:
        pixels = np.array(image.convert('RGB'))[:, :80]
    straight = segment(model, pixels)
    assert np.array_equal(segment(model, torch.from_numpy(pixels).permute(2, 0, 1)).labels, straight.labels)
    turned = Image.fromarray(np.rot90(pixels).copy())
    turned.save(tmp_path / 'turned.png', exif=_orientation(6))  # to be shown turned clockwise by 90 degrees
    assert np.array_equal(segment(model, tmp_path / 'turned.png').labels, straight.labels)


def _orientation(value: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = value
    return exif


def test_it_agrees_with_the_class_map_of_a_dense_clip(model):
    """Both pass the 128 px scene whole through the same tower; scales differ, which matters for synonyms only."""
    names = ['star', 'ring', 'stripes', 'bricks']
    model.set_vocabulary(names)
    found = segment(model, SCENE).labels
    model.set_vocabulary(NAMES)
    tower = rsc_mm.load('configs/shapes/region_classification.py', 'cpu', checkpoint=CLIP)
    expected = tower.class_map(SCENE, names).labels
    assert (found == expected).mean() > 0.98


def test_the_tool_writes_both_files(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', [
        'segment.py', SCENE, '--config', CONFIG, '--checkpoint', CLIP, '--vocab', 'star, ring; circle, stripes',
        '--out', str(tmp_path), '--device', 'cpu', '--cfg-options', f'model.class_embeddings.cache_dir={tmp_path}'])
    load_tool('segment').main()
    assert 'star' in capsys.readouterr().out
    assert read_label_map(tmp_path / 'scene_labels.png').max() <= 2 and (tmp_path / 'scene.png').is_file()


def test_the_tool_needs_no_configuration_for_a_tower_that_describes_itself(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', ['segment.py', SCENE, '--checkpoint', CLIP, '--vocab', 'star, stripes', '--out',
                                      str(tmp_path), '--device', 'cpu'])
    load_tool('segment').main()
    assert read_label_map(tmp_path / 'scene_labels.png').max() <= 1
    monkeypatch.setattr(sys, 'argv', ['segment.py', SCENE])
    with pytest.raises(SystemExit):
        load_tool('segment').main()
    assert 'found neither --config nor both --checkpoint and --vocab' in capsys.readouterr().err


def test_bad_inputs_are_named():
    with pytest.raises(ValueError, match="found the model 'RegionEncoder', expected one that takes names"):
        load_segmentor('configs/shapes/region_classification.py')
    with pytest.raises(FileNotFoundError, match='none.pt: no such file'):
        load_segmentor(CONFIG, 'none.pt', ['star'], 'cpu')


@pytest.mark.filterwarnings('ignore:Failed to add:UserWarning')  # it has no folder
def test_mmsegs_inferencer_runs_on_our_configuration(model, tmp_path):
    from mmseg.apis import MMSegInferencer
    config = Config.fromfile(CONFIG)
    config.model.classes = NAMES
    config.model.class_embeddings.cache_dir = str(tmp_path / 'cache')
    meta = dict(dataset_meta=dict(classes=('what the tower was trained on', )))
    torch.save(dict(state_dict=export_state_dict(model.backbone, 'mmdet'), meta=meta), tmp_path / 'tower.pth')
    config.dump(tmp_path / 'config.py')
    inferencer = MMSegInferencer(str(tmp_path / 'config.py'), str(tmp_path / 'tower.pth'), device='cpu',
                                 show_progress=False)
    found = inferencer(SCENE, out_dir=str(tmp_path / 'out'), batch_size=1)
    assert np.array_equal(found['predictions'], segment(model, SCENE).labels)
    assert (tmp_path / 'out' / 'vis' / 'scene.jpg').is_file()
    assert inferencer.model.dataset_meta['classes'] == ('star', 'ring', 'stripes', 'bricks')


def test_without_mmseg_a_line_says_what_to_install():
    code = """
import runpy, sys
sys.modules.update(dict.fromkeys(['mmcv', 'mmseg']))
sys.argv = ['segment.py', 'projects/shapes_clip/scene.jpg', '--config', 'configs/shapes/maskclip_shapes.py',
            '--vocab', 'star']
runpy.run_path('tools/segment.py', run_name='__main__')"""
    said = run_tool(['-W', 'ignore', '-c', code], 1)
    assert 'rsc_mm needs the compiled operators of mmcv' in said and 'Traceback' not in said
