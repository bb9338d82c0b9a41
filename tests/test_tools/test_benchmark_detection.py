"""The test pass of a tiny detector by stage; nothing here depends on how long anything takes."""
import json
import sys

import pytest
import torch
from mmengine.config import Config

from rsc_mm.apis.benchmarks import detection, distillation
from tests.test_models.test_detectors.tiny import tiny_config
from tests.test_tools.common import REPOSITORY, load_tool

STAGES = ['tower', 'neck', 'rpn_head', 'roi_head', 'total']


@pytest.fixture
def config(tmp_path):
    """A tiny detector's configuration, with weights and embeddings that are not at hand."""
    model = tiny_config(masks=True)
    model.backbone.init_cfg = dict(type='Pretrained', checkpoint='nothing.pt')
    model.roi_head.bbox_head.class_embeddings = 'nothing.safetensors'
    steps = [dict(type='LoadImageFromFile'), dict(type='Resize', scale=(96, 96), keep_ratio=True)]
    path = tmp_path / 'tiny.py'
    Config(dict(model=model, test_dataloader=dict(dataset=dict(pipeline=steps)))).dump(path)
    return path


@pytest.fixture
def ann_file(tmp_path):
    """Images of 40 px by 10, 20 ... 90 px, in no order."""
    path = tmp_path / 'images.json'
    path.write_text(json.dumps(dict(images=[dict(height=40, width=width) for width in (50, 10, 90, 30, 70, 20, 80,
                                                                                       40, 60)])))
    return path


def test_images_stand_for_equal_parts_of_the_file(ann_file):
    assert detection.real_shapes(ann_file, 9) == [(40, width) for width in range(90, 0, -10)]
    assert detection.real_shapes(ann_file, 3) == [(40, 80), (40, 50), (40, 20)]
    assert detection.real_shapes(ann_file, 1) == [(40, 50)]
    with pytest.raises(ValueError, match='found 9 images, expected at least 10'):
        detection.real_shapes(ann_file, 10)
    with pytest.raises(ValueError, match='nowhere.json: no such file'):
        detection.real_shapes(ann_file.with_name('nowhere.json'), 1)


@pytest.mark.parametrize('dtype', ['float32', 'bfloat16'])
def test_rows_of_two_layouts(config, dtype):
    shapes = [(48, 96), (64, 32)]
    cases = [detection.Case(str(config), dtype, layout, None, shapes, None) for layout in ('square', 'rectangle')]
    rows = detection.measure(cases, rounds=2)
    assert [(row['layout'], row['stage']) for row in rows] == [
        (layout, stage) for layout in ('square', 'rectangle') for stage in STAGES]
    assert all((row['config'], row['dtype'], row['size']) == ('tiny', dtype, 96) for row in rows)
    square, rectangle = rows[:5], rows[5:]
    assert all(row['ratio'] == 1 for row in square)
    for row, first in zip(rectangle, square):
        assert row['ratio'] == row['seconds'] / first['seconds'] > 0
    for row in rows:
        assert 0 < row['share'] <= 1 and row['gflops'] > 0
    for part in (square, rectangle):
        assert sum(row['seconds'] for row in part[:4]) < part[4]['seconds']
        assert sum(row['gflops'] for row in part[:4]) < part[4]['gflops']
    # 96 x 96 against 64 x 96 and 96 x 64: the neck is convolutions alone, so two thirds.
    assert rectangle[1]['gflops'] == pytest.approx(square[1]['gflops'] * 2 / 3)


def test_layouts_pad_and_share_weights(config):
    square, rectangle = (detection.Case(str(config), 'float32', layout, 128, [(60, 120)], 7)
                         for layout in ('square', 'rectangle'))
    for case, shape in ((square, (128, 128)), (rectangle, (64, 128))):
        data = case.model.data_preprocessor(case.images[0], False)
        assert data['inputs'].shape[2:] == shape and data['data_samples'][0].img_shape == (64, 128)
    weights = rectangle.model.state_dict()
    assert all(torch.equal(value, weights[key]) for key, value in square.model.state_dict().items())
    embeddings = square.model.roi_head.bbox_head.fc_cls.embeddings
    assert embeddings.shape == (8, 24)
    assert torch.equal(embeddings, rectangle.model.roi_head.bbox_head.fc_cls.embeddings)
    assert not square.model.training


def test_times_are_medians_over_rounds_and_means_over_images(config):
    case = detection.Case(str(config), 'float32', 'square', None, [(48, 96), (96, 48)], None)
    for stage in STAGES:
        case.flops[0, stage], case.flops[1, stage] = [2e9], [4e9]
        case.seconds[0, stage], case.seconds[1, stage] = [1., 9., 2.], [4., 3., 20.]
    case.seconds[0, 'total'], case.seconds[1, 'total'] = [10.], [14.]
    rows = {row['stage']: row for row in case.rows()}
    assert (rows['tower']['seconds'], rows['tower']['gflops'], rows['tower']['share']) == (3, 3, 0.25)


def test_command_line(config, ann_file, monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', ['', str(config), '--ann-file', str(ann_file), '--images', '2', '--rounds', '1',
                                      '--cpu-time', '--json', str(config.with_name('rows.json'))])
    load_tool('benchmarks/detection').main()
    rows = json.loads(config.with_name('rows.json').read_text())
    printed = capsys.readouterr().out.splitlines()
    assert len(rows) == 10 and len(printed) == 12 and printed[0].endswith('(40, 70) (40, 30)')
    assert printed[1].split() == ['config', 'dtype', 'layout', 'size', 'stage', 'seconds', 'gflops', 'share', 'ratio']


def test_sizes_and_models_it_cannot_take(config):
    with pytest.raises(ValueError, match='found 100, expected a multiple of 32'):
        detection.Case(str(config), 'float32', 'square', 100, [(48, 96)], None)
    with pytest.raises(ValueError, match="expected 'rsc_mm.FViT'; training steps .* tools/benchmarks/distillation.py"):
        detection.Case(str(REPOSITORY / 'configs/shapes/clipself_grid.py'), 'float32', 'square', None, [(48, 96)], None)


def test_the_other_tool_names_this_one(config):
    with pytest.raises(ValueError, match='tiny.py: found a detector, expected a distillation configuration'):
        distillation.Case(distillation.Choice(str(config), 'float32', 'square', None), '')
