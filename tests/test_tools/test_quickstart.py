import argparse
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import DictAction
from PIL import Image

from rsc_mm.apis import load_config, load_runner_config, shapes_experiments
from rsc_mm.apis.shapes_report import annotation, draw_pictures, inner_point, write_report
from rsc_mm.datasets import RegionSample
from rsc_mm.engine import train
from rsc_mm.registry import MODELS
from rsc_mm.utils.checkpoint import CheckpointError, load_clip_checkpoint, read_checkpoint
from tests.test_tools.common import REPOSITORY, load_tool

pytestmark = pytest.mark.slow  # trains, or starts whole programs

CLIP = 'projects/shapes_clip/shapes_clip.pt'


@pytest.fixture(autouse=True)
def repository(monkeypatch, shapes_root):
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.setenv('SHAPES_ROOT', str(shapes_root))


def metrics(boxes: float) -> dict[str, float]:
    return dict(boxes_top1=boxes, thing_masks_top1=12., stuff_masks_top1=25., thing_crops_top1=85.,
                stuff_crops_top1=64., coupling_ratio=boxes / 10, coupling_ratio_of_means=1.5)


def test_report_tells_the_share_of_the_distance():
    text = write_report('R-SC-CLIPSelf', metrics(10.), metrics(70.), 90.)
    assert '| boxes | 10.0 | 70.0 | 85.0 |' in text
    assert '| CR, eq. 15 | 1.00 | 7.00 |  |' in text
    assert 'shrank by 80 %' in text and '1.5 minutes' in text


def test_table_gives_mean_and_deviation_over_seeds():
    seeds = [metrics(20.), metrics(22.), metrics(24.)]
    text = shapes_experiments.format_table(metrics(10.), {'CLIPSelf (grid)': seeds})
    assert '| original | 10.0 | 12.0 | 25.0 | 1.00 | 1.50 |' in text
    assert '| CLIPSelf (grid) | 22.0 ± 2.0 | 12.0 ± 0.0 | 25.0 ± 0.0 | 2.20 ± 0.20 | 1.50 ± 0.00 |' in text
    assert "| original's image crops (upper bound) | 85.0 |  | 64.0 |  |  |" in text


def test_pictures(tmp_path):
    draw_pictures({'one': CLIP, 'another': CLIP}, tmp_path / 'pictures.png', scenes=[1])
    with Image.open(tmp_path / 'pictures.png') as picture:
        pixels = np.asarray(picture.convert('RGB'))
    assert pixels.shape[1] == 900 and pixels.shape[0] > 900
    assert all(third.std() > 20 for third in np.array_split(pixels, 3, axis=1))  # scene and both towers


def test_the_marked_point_is_the_innermost_of_the_largest_thing():
    small, large, stuff = np.zeros((3, 20, 30), np.uint8)
    small[2:5, 2:5], large[4:17, 8:29], stuff[:, :] = 1, 1, 1
    masks, is_thing = torch.from_numpy(np.stack([small, large, stuff])), torch.tensor([True, True, False])
    column, row = inner_point(RegionSample(masks=masks, is_thing=is_thing))
    assert row == 10 and 14 <= column <= 22


def test_masks_are_drawn_with_the_labels_that_they_are_given():
    left, right = np.zeros((2, 4, 6), np.uint8)
    left[:, :2], right[:, 3:] = 1, 1
    sample = RegionSample(masks=torch.from_numpy(np.stack([left, right])), metainfo={'ori_shape': (4, 6)})
    picture = annotation(sample, torch.tensor([7, 2]))
    assert np.array_equal(picture[0], [7, 7, np.nan, 2, 2, 2], equal_nan=True) and picture.shape == (4, 6)


def test_evaluation_is_kept(tmp_path, monkeypatch):
    evaluation = shapes_experiments.Run(shapes_experiments.EVALUATION)
    first = shapes_experiments.evaluate(evaluation, CLIP, tmp_path, pairs=10)
    assert first['coupling_ratio_of_means'] > 1
    monkeypatch.setattr(sys, 'executable', '/bin/false')
    assert shapes_experiments.evaluate(evaluation, CLIP, tmp_path, pairs=10) == first


DENSE = {name: run for name, run in {**shapes_experiments.METHODS, **load_tool('benchmarks/shapes_ablations').ABLATIONS
                                     }.items() if run.evaluation}


@pytest.mark.parametrize('name', DENSE)
def test_a_tower_is_evaluated_with_the_readout_that_it_was_trained_with(name, tmp_path):
    """Two steps, from the commands' own overrides; the checkpoint refuses any other readout."""
    method, read = DENSE[name], shapes_experiments.EVALUATION
    path = trained(method, tmp_path)
    encoder = built(read, method.evaluation, path)
    assert encoder.backbone.readout_config == read_checkpoint(path)['meta']['readout']
    assert not encoder.unit_tokens
    with pytest.raises(CheckpointError, match="set the backbone's field readout="):
        built(read, (), path)


def test_dense_methods_of_table_and_ablation():
    assert len(DENSE) == 7 and {'DeCLIP (qq)', 'DeCLIP (csa)', 'DenseRC', 'DenseRC: HSG'} < DENSE.keys()
    assert DENSE['DenseRC: value of the last layer'].name.endswith('_type=values_num_layers=1')


def overrides(options: tuple[str, ...]) -> dict:
    """Options as the tools' command line takes them."""
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={})
    return parser.parse_args(['--cfg-options', *options] if options else []).cfg_options


def trained(method: shapes_experiments.Run, work_dir: Path) -> str:
    """The checkpoint of a method's configuration after two steps of 12 scenes."""
    short = {'train_cfg.max_epochs': 1, 'train_dataloader.batch_size': 12, 'visualizer': None, 'val_cfg': None,
             'train_dataloader.dataset.regions.max_regions': 1, 'val_dataloader': None, 'val_evaluator': None,
             'train_dataloader.dataset.ann_file': 'annotations/proposals_train.json',
             'optim_wrapper.type': 'OptimWrapper'}
    config = load_runner_config(method.config, {**overrides(method.options), **short}, str(work_dir))
    config.experiment_name = f'{work_dir.parent.name}_{work_dir.name}'
    runner = train(config)
    assert runner.iter == 2
    return (work_dir / 'last_checkpoint').read_text()


def built(config: str, options: tuple[str, ...], checkpoint: str) -> torch.nn.Module:
    """The evaluation's model with a checkpoint's weights."""
    model = MODELS.build(load_config(config, overrides(options)).model)
    load_clip_checkpoint(model.backbone, checkpoint)
    return model


@pytest.mark.parametrize('methods, evaluation, ending', [
    (shapes_experiments.METHODS, shapes_experiments.EVALUATION, ''),
    (shapes_experiments.CREATURES_METHODS, shapes_experiments.CREATURES_EVALUATION, '_creatures')])
def test_a_refiner_is_trained_once_and_handed_to_stage_two(methods, evaluation, ending, tmp_path, monkeypatch):
    commands = []

    def record(command: list[str], threads: int | None = None) -> None:
        commands.append(command)
        place = tmp_path / command[command.index('--work-dir') + 1]
        place.mkdir(parents=True, exist_ok=True)
        (place / 'last_checkpoint').write_text('iter_9.pth')
        for name in ('metrics.json', 'coupling.json'):
            (place / name).write_text('{}')

    monkeypatch.setattr(shapes_experiments, 'run', record)
    refiner = methods['R-SC-CLIPSelf'].refiner
    runs = [(methods['R-SC-CLIPSelf'], 3), (methods['CLIPSelf'], 3), (refiner, 3)]
    for stem in ('r_sc_clipself', 'clipself_proposals', 'refiner'):
        (tmp_path / f'{stem}{ending}_3' / 'val').mkdir(parents=True)
        (tmp_path / f'{stem}{ending}_3' / 'val' / 'coupling.json').write_text('{}')
    shapes_experiments.distil_all(runs, tmp_path, 'val', jobs=1)
    trained = [command[2] for command in commands if command[1] == 'tools/train.py']
    assert trained == [refiner.config, methods['R-SC-CLIPSelf'].config, methods['CLIPSelf'].config]
    stage_one = tmp_path / f'refiner{ending}_3' / 'refiner.pth'
    stage_two = next(command for command in commands if command[2] == methods['R-SC-CLIPSelf'].config)
    assert f'model.refiner.init_cfg.checkpoint={stage_one}' in stage_two
    evaluated = [command[2:4] for command in commands if command[1] == 'tools/test.py']
    assert evaluated == [[evaluation, 'iter_9.pth']] * 2 + [[refiner.config, str(stage_one)]]


def test_every_ablation_is_a_run_of_its_own():
    shapes_ablations = load_tool('benchmarks/shapes_ablations')
    names = [run.name for run in shapes_ablations.ABLATIONS.values()]
    assert len(set(names)) == len(names)
    late = shapes_ablations.ABLATIONS['Late']
    assert 'model.refiner.late=True' in late.options and 'model.refiner.late=True' in late.refiner.options


def test_a_failing_step_stops_with_its_command():
    with pytest.raises(SystemExit, match='ended with status 2; the same command goes on from here'):
        shapes_experiments.run([sys.executable, 'tools/train.py'])
