import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner

from rsc_mm.datasets import BadImageError
from rsc_mm.models import ensemble
from rsc_mm.utils.checkpoint import load_clip_checkpoint, read_checkpoint
from tests.test_tools.common import REPOSITORY, run_tool
from tests.towers import tiny_eva

pytestmark = pytest.mark.slow  # trains, or starts whole programs

STEPS = 12


@pytest.fixture(autouse=True)
def data(shapes_root, monkeypatch):
    monkeypatch.setenv('SHAPES_ROOT', str(shapes_root))
    monkeypatch.chdir(REPOSITORY)


def configure(work_dir: Path, name: str = 'clipself_grid', **fields: object) -> Config:
    """Two epochs of six steps of at most two regions an image, a checkpoint after every fourth, in float32."""
    config = Config.fromfile(f'configs/shapes/{name}.py')
    config.work_dir = str(work_dir)
    config.experiment_name = f'{work_dir.name}_{random.SystemRandom().random()}'
    regions = config.train_dataloader.dataset.regions
    if 'max_regions' in regions:
        regions.max_regions = 2
    config.merge_from_dict({
        'train_dataloader.batch_size': 4, 'train_cfg.max_epochs': 2, 'train_cfg.val_interval': 2,
        'val_dataloader.batch_size': 3, 'optim_wrapper.type': 'OptimWrapper', 'visualizer': None,
        'default_hooks.checkpoint.interval': 4,
        'param_scheduler': [dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=STEPS)],
        'custom_hooks': [dict(type='WeightEnsembleHook', alpha=0.7)], **fields})
    return config


def train(config: Config, hook: Hook | None = None) -> Runner:
    runner = Runner.from_cfg(config)
    if hook:
        runner.register_hook(hook)
    runner.train()
    return runner


def student(runner: Runner) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in runner.model.backbone.state_dict().items()}


def equal(first: dict, second: dict) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


class KillAt(Hook):
    """Ends the run before a step, like a crash."""

    def __init__(self, step: int) -> None:
        self.step = step

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None) -> None:
        if runner.iter == self.step:
            raise KeyboardInterrupt


class Losses(Hook):
    def __init__(self) -> None:
        self.values = []

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict, outputs: dict) -> None:
        self.values.append(outputs['loss'].item())


def test_a_run_repeats_exactly_and_its_loss_falls(tmp_path):
    losses = [Losses(), Losses()]
    no_val = {'val_dataloader': None, 'val_cfg': None, 'val_evaluator': None}
    runs = [train(configure(tmp_path / str(i), **no_val), hook) for i, hook in enumerate(losses)]
    assert equal(student(runs[0]), student(runs[1]))
    assert losses[0].values == losses[1].values
    assert len(losses[0].values) == STEPS
    assert sum(losses[0].values[-3:]) < sum(losses[0].values[:3])


@pytest.mark.parametrize('name', ['clipself_grid', 'clipself_proposals'])
def test_killed_at_a_random_step_and_resumed(tmp_path, name):
    step = random.SystemRandom().randrange(5, STEPS)
    whole = train(configure(tmp_path / 'whole', name))
    with pytest.raises(KeyboardInterrupt):
        train(configure(tmp_path / 'killed', name), KillAt(step))
    resumed = train(configure(tmp_path / 'killed', name, resume=True))
    assert resumed.iter == STEPS
    assert equal(student(whole), student(resumed)), f'killed at step {step}'
    files = [torch.load(tmp_path / run / f'iter_{STEPS}.pth', weights_only=False) for run in ('whole', 'killed')]
    assert equal(files[0]['state_dict'], files[1]['state_dict'])


def test_killed_process_resumes_to_the_same_weights(tmp_path):
    options = ['--cfg-options', 'train_dataloader.batch_size=4', 'train_dataloader.dataset.regions.max_regions=2',
               'train_cfg.max_epochs=2', 'val_cfg=None', 'val_dataloader=None', 'val_evaluator=None',
               'default_hooks.checkpoint.interval=3', 'param_scheduler=None']
    command = [sys.executable, 'tools/train.py', 'configs/shapes/clipself_grid.py', '--resume', '--work-dir']
    run_tool([*command[1:], str(tmp_path / 'whole'), *options])
    process = subprocess.Popen([*command, str(tmp_path / 'killed'), *options], stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    while not (tmp_path / 'killed' / 'last_checkpoint').exists():
        time.sleep(0.05)
    time.sleep(random.SystemRandom().random())
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    run_tool([*command[1:], str(tmp_path / 'killed'), *options])
    files = [read_checkpoint((tmp_path / run / 'last_checkpoint').read_text()) for run in ('whole', 'killed')]
    assert files[0]['meta']['iter'] == files[1]['meta']['iter'] == STEPS
    for part in ('state_dict', 'student_state_dict'):
        assert equal(files[0][part], files[1][part])


def test_two_processes_train_like_one_with_the_joint_batch(tmp_path):
    options = ['--cfg-options', 'train_cfg.max_epochs=1', 'val_cfg=None', 'val_dataloader=None', 'val_evaluator=None',
               'param_scheduler=None', 'optim_wrapper.type=OptimWrapper', 'optim_wrapper.optimizer.eps=1e-3',
               'train_dataloader.dataset.regions.max_regions=2']
    config = 'configs/shapes/clipself_grid.py'
    with socket.socket() as server:
        server.bind(('127.0.0.1', 0))
        port = server.getsockname()[1]
    run_tool(['tools/train.py', config, '--work-dir', str(tmp_path / 'one'), *options, 'train_dataloader.batch_size=4'])
    subprocess.run(['bash', 'tools/dist_train.sh', config, '2', '--work-dir', str(tmp_path / 'two'), *options,
                    'train_dataloader.batch_size=2'], check=True, capture_output=True,
                   env={**os.environ, 'PYTHON': sys.executable, 'PORT': str(port)})
    files = [read_checkpoint((tmp_path / run / 'last_checkpoint').read_text()) for run in ('one', 'two')]
    original = read_checkpoint('projects/shapes_clip/shapes_clip.pt')['state_dict']
    moved = 0.
    for key, value in files[0]['student_state_dict'].items():
        assert torch.allclose(value, files[1]['student_state_dict'][key], atol=1e-4), key
        moved = max(moved, (value - original[key.removeprefix('backbone.')].float()).abs().max().item())
    assert moved > 3e-3


def test_checkpoint_holds_the_ensemble_and_no_teacher(tmp_path):
    runner = train(configure(tmp_path))
    content = read_checkpoint(tmp_path / f'iter_{STEPS}.pth')
    assert not [key for key in content['state_dict'] if 'teacher' in key]
    assert content['meta']['readout'] == 'value' and content['meta']['alpha'] == 0.7
    model = runner.model
    assert equal({f'backbone.{key}': value for key, value in student(runner).items()}, content['student_state_dict'])
    mixed = ensemble(model.backbone, model.teacher, 0.7)
    assert equal({f'backbone.{key}': value for key, value in mixed.items()}, content['state_dict'])
    original = tiny_eva()
    with pytest.raises(ValueError, match='does not fit the tower'):
        load_clip_checkpoint(original, tmp_path / f'iter_{STEPS}.pth')
    teacher = runner.model.teacher.state_dict()
    load_clip_checkpoint(model.backbone, 'projects/shapes_clip/shapes_clip.pt')
    assert equal(model.backbone.state_dict(), teacher), 'the teacher changed'


def test_validation_runs_on_the_ensemble_and_gives_the_student_back(tmp_path):
    class Watch(Hook):
        priority = 'LOWEST'

        def before_val_epoch(self, runner: Runner) -> None:
            self.validated = student(runner)

    watch = Watch()
    runner = train(configure(tmp_path), watch)
    assert equal(watch.validated, ensemble(runner.model.backbone, runner.model.teacher, 0.7))
    assert not equal(watch.validated, student(runner))
    assert 0 <= runner.message_hub.get_scalar('val/boxes_top1').current() <= 100


def test_resuming_from_a_checkpoint_without_student_is_an_error(tmp_path):
    train(configure(tmp_path, custom_hooks=[]))
    with pytest.raises(KeyError, match='holds no student_state_dict'):
        train(configure(tmp_path, resume=True, **{'train_cfg.max_epochs': 3}))


def test_more_bad_images_than_allowed_stop_the_training(tmp_path, shapes_root):
    image = sorted((shapes_root / 'train').iterdir())[3]
    content = image.read_bytes()
    image.write_bytes(content[:100])
    try:
        train(configure(tmp_path / 'skips', **{'train_dataloader.dataset.max_bad_images': 1}))
        with pytest.raises(BadImageError, match=image.name):
            train(configure(tmp_path / 'stops'))
    finally:
        image.write_bytes(content)


@pytest.mark.parametrize('fields, expected', [
    ({'model.backbone.frozen_stages': 6}, 'no parameter trains'),
    ({'custom_hooks': [dict(type='WeightEnsembleHook', alpha=0.)]}, "field 'alpha': found 0.0"),
    ({'optim_wrapper.paramwise_cfg': dict(norm_decay_mult=0.)}, "field 'paramwise_cfg': found"),
    ({'model.backbone.init_cfg.checkpoint': 'nothing.pt'}, 'checkpoint nothing.pt: no such file'),
])
def test_bad_training_fields(tmp_path, fields, expected):
    with pytest.raises((ValueError, FileNotFoundError), match=expected):
        train(configure(tmp_path, **fields))
