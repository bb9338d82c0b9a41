"""A detector trained in two processes, killed and resumed; and the pictures of its validation and test."""
import multiprocessing
import os
import runpy
import signal
import socket
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import HOOKS, DefaultScope
from mmengine.runner import Runner, load_checkpoint
from PIL import Image

from rsc_mm.apis.evaluation import evaluate_whole
from tests.test_tools.common import REPOSITORY

pytestmark = pytest.mark.slow  # trains, or starts whole programs

pytest.importorskip('mmdet', reason='needs mmdet')

CONFIG = 'configs/shapes/fvit_shapes.py'
KILL = 4  # of steps 0 to 5: in the midst of the second epoch


@HOOKS.register_module()
class KillProcessAt(Hook):
    """Ends this process before a step, in a way that nothing can catch.

    Args:
        step: number of steps done.
    """

    def __init__(self, step: int) -> None:
        self.step = step

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None) -> None:
        if runner.iter == self.step:
            os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture(scope='module', autouse=True)
def root(shapes_root):
    """The repository as working folder, the small Shapes, and mmdet's scope."""
    with pytest.MonkeyPatch.context() as patch, DefaultScope.overwrite_default_scope('mmdet'):
        patch.setenv('SHAPES_ROOT', str(shapes_root))
        patch.chdir(REPOSITORY)
        yield


def train(work_dir: Path, config: str | Path = CONFIG, *options: str) -> list[int]:
    """Two processes run tools/train.py for two epochs of three steps; returns their exit codes.

    They are forked from one that has imported mmdet, which costs more than the six steps.
    """
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload(['rsc_mm.models.detectors', 'mmdet.datasets', 'mmdet.engine', 'mmdet.evaluation'])
    arguments = [str(config), '--launcher', 'pytorch', '--work-dir', str(work_dir), *options, '--cfg-options',
                 'train_cfg.max_epochs=2', 'train_dataloader.batch_size=4', 'val_cfg=None', 'val_dataloader=None',
                 'val_evaluator=None', 'default_hooks.logger.interval=1', 'optim_wrapper.type=OptimWrapper']
    with socket.socket() as server:
        server.bind(('127.0.0.1', 0))
        port = server.getsockname()[1]
    environment = dict(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port), WORLD_SIZE='2',
                       SHAPES_ROOT=os.environ['SHAPES_ROOT'])
    processes = [context.Process(target=train_rank, args=(rank, environment, arguments)) for rank in (0, 1)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return [process.exitcode for process in processes]


def train_rank(rank: int, environment: dict[str, str], arguments: list[str]) -> None:
    """One process of tools/train.py, with what torchrun sets."""
    torch.set_num_threads(1)
    os.chdir(REPOSITORY)
    os.environ.update(environment, RANK=str(rank), LOCAL_RANK=str(rank))
    sys.argv = ['tools/train.py', *arguments]
    runpy.run_path('tools/train.py', run_name='__main__')
    torch.distributed.destroy_process_group()


@pytest.fixture(scope='module')
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders 'whole' and 'killed' of an uninterrupted run and of one that was killed and resumed."""
    folder = tmp_path_factory.mktemp('two')
    (folder / 'killed.py').write_text(
        f"_base_ = '{REPOSITORY / CONFIG}'\n"
        f"custom_imports = dict(imports=['rsc_mm.models.detectors', 'rsc_mm.engine', '{__name__}'])\n"
        f"custom_hooks = [dict(type='KillProcessAt', step={KILL})]\n")
    assert train(folder / 'killed', folder / 'killed.py') == [-signal.SIGKILL] * 2
    assert [path.name for path in (folder / 'killed').glob('*.pth')] == ['epoch_1.pth']
    assert train(folder / 'killed', CONFIG, '--resume') == train(folder / 'whole') == [0, 0]
    return folder


def differing(first: object, second: object, name: str = '') -> list[str]:
    """Names of the entries of two nested dicts and lists that are not the same to the bit."""
    if isinstance(first, torch.Tensor):
        return [] if torch.equal(first, second) else [name]
    if isinstance(first, (dict, list, tuple)):
        pairs = list(first.items() if isinstance(first, dict) else enumerate(first))
        if len(pairs) != len(second):
            return [name]
        return [found for key, value in pairs for found in differing(value, second[key], f'{name}.{key}')]
    return [] if first == second else [name]


def test_killed_and_resumed_ends_like_the_uninterrupted_run(runs):
    start, whole, resumed = (torch.load(runs / name, weights_only=False) for name in (
        'killed/epoch_1.pth', 'whole/epoch_2.pth', 'killed/epoch_2.pth'))
    assert whole['meta']['iter'] == resumed['meta']['iter'] == 6 and start['meta']['iter'] == 3
    assert whole['optimizer']['state'] and whole['param_schedulers']
    for part in ('state_dict', 'optimizer', 'param_schedulers'):
        assert differing(whole[part], resumed[part]) == []
        assert differing(whole[part], start[part]), f'{part} did not change in the second epoch'


def test_no_parameter_is_unused(runs):
    """DDP does not search for them; an unused one would have ended the runs in their second step."""
    assert not Config.fromfile(CONFIG).get('find_unused_parameters')
    weights = torch.load(runs / 'whole' / 'epoch_2.pth', weights_only=False)
    trained = [key for key in weights['state_dict'] if not key.startswith('backbone.')
               and not key.endswith(('running_mean', 'running_var', 'num_batches_tracked', 'fc_cls.embeddings',
                                     'fc_cls.vocabulary'))]
    assert len(weights['optimizer']['state']) == len(trained)


def configure(work_dir: Path, **fields: object) -> Config:
    """Draws every picture of the test, and of the validation the first of every second batch."""
    config = Config.fromfile(CONFIG)
    config.work_dir = str(work_dir)
    config.experiment_name = config.visualizer.name = f'drawn_{work_dir.name}'  # MMEngine keeps them by name
    config.merge_from_dict({
        'default_hooks.visualization': dict(type='DetVisualizationHook', draw=True, interval=2, score_thr=0.),
        'val_dataloader.batch_size': 2, 'test_dataloader.batch_size': 2, **fields})
    return config


def check_pictures(work_dir: Path, expected: dict[str, str], images: Path) -> None:
    """The drawn files are the expected ones: annotations left and detections right, both with something drawn."""
    drawn = {path.name: Image.open(path).convert('RGB') for path in work_dir.glob('*/vis_data/vis_image/*.png')}
    assert drawn.keys() == expected.keys()
    for name, picture in drawn.items():
        original = Image.open(images / expected[name])
        assert picture.size == (2 * original.width, original.height)
        for half in np.split(np.asarray(picture).astype(int), 2, axis=1):
            changed = (np.abs(half - np.asarray(original)).max(axis=2) > 50).mean()
            assert 0 < changed < 1, name


# mmdet's own, and MMEngine's of boxes that end with the image.
@pytest.mark.filterwarnings('ignore:__array_wrap__ must accept:DeprecationWarning',
                            'ignore:Warning. The (bbox|polygon) is out of bounds:UserWarning')
def test_the_visualisation_hook_draws(runs, shapes_root, tmp_path):
    checkpoint = str(runs / 'whole' / 'epoch_2.pth')
    evaluate_whole(configure(tmp_path / 'test'), checkpoint)
    names = sorted(path.name for path in (shapes_root / 'val').iterdir())
    assert len(names) == 6
    check_pictures(tmp_path / 'test', {f'test_img_{i}.png': name for i, name in enumerate(names, 1)},
                   shapes_root / 'val')
    runner = Runner.from_cfg(configure(tmp_path / 'val', **{'model.backbone.init_cfg': None}))
    load_checkpoint(runner.model, checkpoint, strict=True)
    runner.val()
    check_pictures(tmp_path / 'val', {f'val_img_{i}.png': names[2 * i] for i in (0, 2)}, shapes_root / 'val')
