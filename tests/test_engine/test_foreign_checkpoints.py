"""Code inside a checkpoint does not run, wherever one is given."""
import importlib.util
import shutil
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from rsc_mm.apis.evaluation import evaluate
from rsc_mm.engine import train
from rsc_mm.utils.checkpoint import CheckpointError, trust_checkpoint
from tests.payload import Payload, hide_config, hide_payload
from tests.test_engine.toy import KillAt, toy_runner
from tests.test_tools.common import REPOSITORY, load_tool

pytestmark = pytest.mark.slow  # trains, or starts whole programs

needs_mmdet = pytest.mark.skipif(not importlib.util.find_spec('mmdet'), reason='needs mmdet')
TOWER, DETECTOR = 'configs/shapes/clipself_grid.py', 'configs/shapes/fvit_shapes.py'


@pytest.fixture(autouse=True)
def root(shapes_root, monkeypatch):
    monkeypatch.setenv('SHAPES_ROOT', str(shapes_root))
    monkeypatch.chdir(REPOSITORY)


@pytest.fixture
def saved(tmp_path) -> Path:
    """What a training saved after four steps."""
    with pytest.raises(KeyboardInterrupt):
        toy_runner(tmp_path / 'run', custom_hooks=[KillAt(4)]).train()
    return tmp_path / 'run' / 'iter_4.pth'


def configure(path: str, work_dir: Path) -> Config:
    config = Config.fromfile(path)
    config.work_dir, config.experiment_name, config.launcher = str(work_dir), work_dir.name, 'none'
    config.visualizer = None
    return config


def run_main(name: str, monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, 'argv', [name, *map(str, arguments)])
    load_tool(name).main()


@pytest.mark.parametrize('resume', [True, False])
def test_resume_and_load_from(saved, tmp_path, resume):
    file = hide_payload(saved, tmp_path / 'foreign.pth', tmp_path / 'ran')
    with pytest.raises(CheckpointError, match=r'foreign.pth: cannot be read as weights'):
        toy_runner(tmp_path / 'new', resume=resume, load_from=str(file)).train()
    assert not (tmp_path / 'ran').exists()


def test_the_configuration_inside_does_not_run_on_resume(saved, tmp_path):
    file = hide_config(saved, tmp_path / 'foreign.pth', tmp_path / 'ran')
    runner = toy_runner(tmp_path / 'new', resume=True, load_from=str(file))
    runner.train()
    assert runner.iter == 12 and not (tmp_path / 'ran').exists()


def test_train_refuses_what_is_not_trusted(saved, tmp_path):
    config = configure(TOWER, tmp_path / 'new')
    shutil.copy(hide_payload(saved, tmp_path / 'foreign.pth', tmp_path / 'ran'), tmp_path / 'mine.pth')
    with pytest.raises(CheckpointError, match='foreign.pth: cannot be read as weights'):
        train(config, str(tmp_path / 'foreign.pth'))
    assert not (tmp_path / 'ran').exists()
    config.experiment_name = 'trusted'
    trust_checkpoint(tmp_path / 'mine.pth')
    with pytest.raises((KeyError, ValueError)):  # another model's; but it was read
        train(config, str(tmp_path / 'mine.pth'))
    assert (tmp_path / 'ran').exists()


def test_a_tower_is_tested_and_published_without_running_code(tmp_path, monkeypatch):
    file = hide_payload(Path('projects/shapes_clip/shapes_clip.pt'), tmp_path / 'foreign.pt', tmp_path / 'ran')
    with pytest.raises(CheckpointError, match='foreign.pt: cannot be read as weights'):
        evaluate(configure(TOWER, tmp_path / 'test'), str(file))
    with pytest.raises(CheckpointError, match='foreign.pt: cannot be read as weights'):
        run_main('converters/publish_backbone', monkeypatch, TOWER, file, tmp_path / 'out.pth')
    assert not (tmp_path / 'ran').exists()


def test_trust_of_the_tools(tmp_path, monkeypatch):
    file = hide_payload(Path('projects/shapes_clip/shapes_clip.pt'), tmp_path / 'mine.pt', tmp_path / 'ran')
    run_main('converters/publish_backbone', monkeypatch, TOWER, file, tmp_path / 'out.pth',
             '--trust-checkpoint', file)
    assert (tmp_path / 'out.pth').is_file() and (tmp_path / 'ran').is_dir()


@needs_mmdet
@pytest.mark.filterwarnings('ignore::UserWarning', 'ignore::DeprecationWarning')  # mmdet's own
def test_detectors(tmp_path, shapes_root, monkeypatch):
    from mmdet.apis import DetInferencer
    file = tmp_path / 'foreign.pth'
    torch.save({'state_dict': {}, 'extra': Payload(tmp_path / 'ran')}, file)
    with pytest.raises(CheckpointError, match='foreign.pth: cannot be read as weights'):
        evaluate(configure(DETECTOR, tmp_path / 'test'), str(file))
    with pytest.raises(CheckpointError, match='foreign.pth: cannot be read as weights'):
        DetInferencer(DETECTOR, str(file), device='cpu', show_progress=False)
    image = next((shapes_root / 'val').iterdir())
    with pytest.raises(CheckpointError, match='foreign.pth: cannot be read as weights'):
        run_main('detect', monkeypatch, image, '--config', DETECTOR, '--checkpoint', file, '--device', 'cpu', '--out',
                 tmp_path / 'out')
    assert not (tmp_path / 'ran').exists()


@needs_mmdet
@pytest.mark.filterwarnings('ignore::UserWarning', 'ignore::DeprecationWarning')  # mmdet's own
def test_an_inferencer_without_configuration_does_not_run_the_one_inside(saved, tmp_path):
    from mmdet.apis import DetInferencer
    file = hide_config(saved, tmp_path / 'foreign.pth', tmp_path / 'ran')
    with pytest.raises(ValueError, match='Cannot find the config in the checkpoint'):
        DetInferencer(weights=str(file), device='cpu', show_progress=False)
    assert not (tmp_path / 'ran').exists()
