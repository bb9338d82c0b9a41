"""Training, evaluation and use of a detector, in one process: every start of mmdet costs seconds."""
import json
import math
import sys

import numpy as np
import pytest
import torch
from mmdet.apis import DetInferencer
from mmengine.config import Config
from mmengine.fileio import load
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from PIL import Image
from pycocotools.coco import COCO

import rsc_mm.models.detectors  # noqa: F401  registers the detectors
from rsc_mm.apis import load_runner_config
from rsc_mm.apis.analysis.class_agnostic import measure_class_agnostic
from rsc_mm.apis.detection import load_detector
from rsc_mm.apis.evaluation import draw_predictions, evaluate_whole, keep_predictions
from rsc_mm.models.text import read_class_names, read_embeddings
from tests.test_models.test_detectors.test_reference_checkpoint import VOCABULARY, reference_keys
from tests.test_tools.common import REPOSITORY, load_tool, run_tool

pytestmark = pytest.mark.slow  # trains, or starts whole programs

CONFIG = 'configs/shapes/fvit_shapes.py'


@pytest.fixture(scope='module', autouse=True)
def root(shapes_root, tmp_path_factory):
    """The repository as working folder, the small Shapes, and mmdet's scope."""
    with pytest.MonkeyPatch.context() as patch, DefaultScope.overwrite_default_scope('mmdet'):
        patch.setenv('SHAPES_ROOT', str(shapes_root))
        patch.chdir(REPOSITORY)
        yield


def configure(work_dir, **fields):
    """One epoch of three steps, without validation."""
    config = Config.fromfile(CONFIG)
    name = f'{work_dir.parent.name}_{work_dir.name}'  # MMEngine keeps runners and visualisers by name
    config.work_dir, config.experiment_name, config.visualizer.name = str(work_dir), name, name
    config.merge_from_dict({'train_cfg.max_epochs': 1, 'train_cfg.val_interval': 9, 'train_dataloader.batch_size': 4,
                            'val_dataloader': None, 'val_cfg': None, 'val_evaluator': None,
                            'optim_wrapper.type': 'OptimWrapper', **fields})
    return config


@pytest.fixture(scope='module')
def runs(tmp_path_factory):
    """Folders of a run of two epochs, and of one that goes on after the first of them."""
    folder = tmp_path_factory.mktemp('fvit')
    two = {'train_cfg.max_epochs': 2, 'train_dataloader.batch_size': 8}
    Runner.from_cfg(configure(folder / 'whole', **two)).train()
    Runner.from_cfg(configure(folder / 'resumed', resume=True, load_from=str(folder / 'whole' / 'epoch_1.pth'),
                              **two)).train()
    return folder


@pytest.fixture(scope='module')
def trained(runs):
    """The checkpoint of a detector after six steps."""
    return runs / 'whole' / 'epoch_2.pth'


def weights_of(path):
    return torch.load(path, weights_only=False)['state_dict']


def test_a_resumed_run_ends_with_the_same_weights(runs):
    first, whole, other = (weights_of(runs / name) for name in (
        'whole/epoch_1.pth', 'whole/epoch_2.pth', 'resumed/epoch_2.pth'))
    assert [key for key in whole if not torch.equal(whole[key], other[key])] == []
    moved = [key for key in whole if not torch.equal(whole[key], first[key])]
    assert moved and not any(key.startswith('backbone.') for key in moved)


def test_evaluation_gives_base_novel_and_all(trained, shapes_root, tmp_path):
    config = configure(tmp_path, **{'test_evaluator.outfile_prefix': f'{tmp_path}/found'})
    metrics = evaluate_whole(config, str(trained))
    assert {'coco/base_ap50', 'coco/novel_ap50', 'coco/all_ap50', 'coco/bbox_mAP_50'} <= metrics.keys()
    assert all(math.isnan(value) or 0 <= value <= 100 for value in metrics.values()) and json.dumps(metrics)
    truth = COCO(str(shapes_root / 'annotations' / 'instances_val.json'))
    assert len(truth.loadRes(str(tmp_path / 'found.bbox.json')).anns) > 0


@pytest.mark.filterwarnings('ignore::UserWarning', 'ignore::DeprecationWarning')  # mmdet's own
def test_predictions_are_kept_and_drawn(trained, shapes_root, tmp_path, monkeypatch):
    options = ['experiment_name=kept', 'visualizer.name=kept']
    monkeypatch.setattr(sys, 'argv', [
        'test.py', CONFIG, str(trained), '--work-dir', str(tmp_path), '--out', str(tmp_path / 'found.pkl'),
        '--show-dir', str(tmp_path / 'pictures'), '--cfg-options', *options])
    load_tool('test').main()
    images = json.loads((shapes_root / 'annotations' / 'instances_val.json').read_text())['images']
    found = load(str(tmp_path / 'found.pkl'))
    assert {row['img_id'] for row in found} == {image['id'] for image in images}
    assert all({'bboxes', 'scores', 'labels'} <= row['pred_instances'].keys() for row in found)
    assert {path.name for path in (tmp_path / 'pictures').iterdir()} == {image['file_name'] for image in images}
    metrics = json.loads((tmp_path / 'metrics.json').read_text(), parse_constant=pytest.fail)  # no NaN
    assert 0 <= metrics['coco/all_ap50'] <= 100


def test_what_cannot_be_kept_or_drawn_is_named():
    config = load_runner_config('configs/evaluation/region_classification_vitb16.py')
    with pytest.raises(ValueError, match="found the ending '.json', expected .pkl or .pickle"):
        keep_predictions(config, 'found.json')
    with pytest.raises(ValueError, match="field 'default_scope': found 'rsc_mm', expected 'mmdet' or 'mmseg'"):
        draw_predictions(config, 'pictures')


def test_class_agnostic_scores_are_those_of_any_object(trained, tmp_path):
    options = {
        'experiment_name': 'agnostic', 'visualizer.name': 'agnostic',
        'test_evaluator.outfile_prefix': str(tmp_path / 'r'), 'model.test_cfg.rcnn.score_thr': 0.,
        'model.test_cfg.rcnn.max_per_img': 10000}
    metrics = measure_class_agnostic(CONFIG, str(trained), str(tmp_path), options)
    assert {'coco/base_ap50', 'coco/novel_ap50', 'coco/bbox_mAP_50'} <= set(metrics)
    classes_of = {}
    for row in json.loads((tmp_path / 'r.bbox.json').read_text()):
        classes_of.setdefault((row['image_id'], row['score'], *row['bbox']), set()).add(row['category_id'])
    assert all(len(classes) == 10 for classes in classes_of.values())  # every box as every class, with one score
    with pytest.raises(ValueError, match="'model.roi_head.bbox_head.type': found None, expected 'rsc_mm.FViTBBoxHead'"):
        measure_class_agnostic('configs/shapes/clipself_grid.py', str(trained), str(tmp_path))


def test_a_checkpoint_that_does_not_fit_is_refused(trained, tmp_path):
    weights = weights_of(trained)
    weights.pop('neck.up2.bias')
    torch.save({'state_dict': weights}, tmp_path / 'other.pth')
    with pytest.raises(RuntimeError, match='neck.up2.bias'):
        evaluate_whole(configure(tmp_path), str(tmp_path / 'other.pth'))


def test_detect_draws_and_lists_any_names(trained, shapes_root, tmp_path, monkeypatch, capsys):
    image = shapes_root / 'val' / '000001.jpg'
    monkeypatch.setattr(sys, 'argv', [
        'detect.py', str(image), '--config', CONFIG, '--checkpoint', str(trained), '--vocab',
        'circle, heart, red square', '--score', '0', '--out', str(tmp_path), '--device', 'cpu'])
    load_tool('detect').main()
    found = json.loads((tmp_path / '000001.json').read_text())
    assert found and {entry['name'] for entry in found} <= {'circle', 'heart', 'red square'}
    assert all(entry['base'] == (entry['name'] == 'circle') for entry in found)
    scores = [entry['score'] for entry in found]
    assert scores == sorted(scores, reverse=True) and f'{len(found)} objects' in capsys.readouterr().out
    picture, original = Image.open(tmp_path / '000001.jpg'), Image.open(image)
    assert picture.size == original.size and picture.tobytes() != original.tobytes()
    for entry in found:
        assert 0 <= entry['box'][0] <= entry['box'][2] <= original.size[0]
        assert 0 <= entry['box'][1] <= entry['box'][3] <= original.size[1]


@pytest.mark.filterwarnings('ignore::UserWarning', 'ignore::DeprecationWarning')  # mmdet's own
def test_neither_clip_nor_data_are_needed(trained, tmp_path, monkeypatch):
    """A photo, the config and the checkpoint are enough for the classes it was trained on, and for mmdet's own API."""
    monkeypatch.setenv('SHAPES_ROOT', str(tmp_path / 'gone'))
    options = {'model.roi_head.bbox_head.class_embeddings.text_encoder.checkpoint': str(tmp_path / 'gone.pt'),
               'model.roi_head.bbox_head.class_embeddings.cache_dir': str(tmp_path / 'cache')}
    photo = np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8)
    detector = load_detector(CONFIG, trained, device='cpu', options=options)
    found = detector.detect(photo, score=0.)
    assert len(found) and detector.classes == read_class_names('shapes_things')
    assert len(detector.detect(photo, ['heart', 'ring'], score=0.).classes) == 2
    with pytest.raises(FileNotFoundError, match=r"gone.pt: no such file.*for the names \['red square'\]"):
        detector.detect(photo, ['red square'])
    config = Config.fromfile(CONFIG)
    config.merge_from_dict(options)
    inferencer = DetInferencer(config, str(trained), device='cpu', show_progress=False)
    assert inferencer(photo)['predictions'][0]['scores']


@pytest.mark.parametrize('arguments, message', [
    (['--config', 'configs/shapes/clipself_grid.py'], "clipself_grid.py, field 'model.type': found 'CLIPSelf'"),
    (['--config', 'configs/no.py'], 'configuration configs/no.py: no such file'),
    (['--checkpoint', 'no.pth'], 'checkpoint no.pth: no such file'),
    (['--vocab', 'circle, circle'], r"found \['circle'\] twice"),
])
def test_bad_input_is_named(trained, shapes_root, tmp_path, monkeypatch, arguments, message):
    monkeypatch.setattr(sys, 'argv', [
        'detect.py', str(shapes_root / 'val' / '000001.jpg'), '--config', CONFIG, '--checkpoint', str(trained), '--out',
        str(tmp_path), '--device', 'cpu', *arguments])
    with pytest.raises((SystemExit, ValueError, OSError), match=message):
        load_tool('detect').main()


def test_a_broken_image_is_named_first(tmp_path):
    (tmp_path / 'photo.jpg').write_bytes(b'\xff\xd8\xff broken')
    said = run_tool(['tools/detect.py', str(tmp_path / 'photo.jpg'), '--config', CONFIG, '--checkpoint', 'no.pth'], 1)
    assert 'photo.jpg: found a JPEG that does not decode' in said and 'Traceback' not in said


@pytest.mark.parametrize('first, status, message', [
    ('--help', 0, 'usage:'), ('projects/shapes_clip/scene.jpg', 1, 'rsc_mm needs the compiled operators of mmcv')])
def test_without_mmdet(first, status, message):
    """Help is there, and a line says what to install."""
    code = f"""
import runpy, sys
sys.modules['mmcv'] = sys.modules['mmdet'] = None
sys.argv = ['detect.py', {first!r}, '--config', {CONFIG!r}, '--checkpoint', 'no.pth']
runpy.run_path('tools/detect.py', run_name='__main__')"""
    said = run_tool(['-c', code], status)
    assert message in said and 'Traceback' not in said


@pytest.mark.filterwarnings('ignore::UserWarning', 'ignore::DeprecationWarning')  # mmdet's own
def test_detinferencer_takes_our_configs(trained, shapes_root, tmp_path):
    inferencer = DetInferencer(CONFIG, str(trained), device='cpu', show_progress=False)
    found = inferencer(str(shapes_root / 'val' / '000001.jpg'), out_dir=str(tmp_path))
    assert found['predictions'][0]['scores'] and (tmp_path / 'vis' / '000001.jpg').exists()


def test_another_order_of_classes_stops_the_training(tmp_path):
    runner = Runner.from_cfg(configure(tmp_path, **{'model.roi_head.bbox_head.classes': ['square', 'circle']}))
    with pytest.raises(ValueError, match="found 10 classes, expected 2; first difference at label 0: found 'circle'"):
        runner.train()


def test_conversion_writes_weights_and_embeddings(trained, shapes_root, tmp_path, monkeypatch):
    weights, rows = weights_of(trained), torch.nn.functional.normalize(torch.randn(11, 128), dim=1)
    reference = {**reference_keys(weights), 'roi_head.bbox_head.all_embeddings': rows.t()}
    torch.save({'state_dict': reference, 'meta': {'epoch': 3}}, tmp_path / 'reference.pth')
    arguments = ['convert', str(tmp_path / 'reference.pth'), str(tmp_path / 'out.pth'), '--classes']
    monkeypatch.setattr(sys, 'argv', [*arguments, str(shapes_root / 'annotations' / 'instances_val.json')])
    load_tool('converters/convert_fvit_checkpoint').main()
    converted = weights_of(tmp_path / 'out.pth')
    assert converted.keys() == weights.keys()
    assert all(torch.equal(weights[key], converted[key]) for key in weights if not key.endswith(VOCABULARY))
    detector = load_detector(CONFIG, tmp_path / 'out.pth', device='cpu')
    detector.model.roi_head.bbox_head.embed_classes()
    assert torch.allclose(detector.model.roi_head.bbox_head.fc_cls.embeddings, rows, atol=1e-6)
    names, found = read_embeddings(tmp_path / 'out.embeddings.safetensors')
    assert names[-1] == 'background' and len(names) == 11 and torch.allclose(found, rows, atol=1e-6)
    monkeypatch.setattr(sys, 'argv', [*arguments, 'ov_coco'])
    with pytest.raises(SystemExit, match='found 65 classes, expected 10'):
        load_tool('converters/convert_fvit_checkpoint').main()
