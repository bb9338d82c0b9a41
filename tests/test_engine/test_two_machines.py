import os
import socket
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import torch

from rsc_mm.utils.checkpoint import read_checkpoint
from tests.test_tools.common import REPOSITORY

pytestmark = pytest.mark.slow  # trains, or starts whole programs


@pytest.mark.slow
def test_two_launches_train_on_shards_with_one_cache(tmp_path: Path, shapes_root: Path) -> None:
    """Two 'machines' on one: NNODES=2, a process each, images from shards, cached targets in one folder."""
    images = sorted((shapes_root / 'train').iterdir())
    (tmp_path / 'shards').mkdir()
    for shard in range(2):
        with tarfile.open(tmp_path / 'shards' / f'{shard:05d}.tar', 'w') as tar:
            for path in images[4 * shard:4 * shard + 4]:
                tar.add(path, path.name)
    with socket.socket() as server:
        server.bind(('127.0.0.1', 0))
        port = server.getsockname()[1]
    options = ['train_cfg.max_epochs=2', 'val_cfg=None', 'val_dataloader=None', 'val_evaluator=None',
               'train_dataloader.batch_size=2', f'train_dataloader.dataset.data_root={tmp_path / "shards"}',
               'train_dataloader.dataset.ann_file=None', 'train_dataloader.dataset.img_prefix=',
               'train_dataloader.dataset.redraw_every=2', 'default_hooks.checkpoint.interval=4',
               'default_hooks.logger.interval=1', 'model.targets.type=CachedTargets',
               f'model.targets.path={tmp_path / "targets"}']
    launches = [subprocess.Popen(
        ['bash', 'tools/dist_train.sh', 'configs/shapes/clipself_grid.py', '1', '--work-dir',
         str(tmp_path / f'machine{rank}'), '--cfg-options', *options], cwd=REPOSITORY, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, env={**os.environ, 'PYTHON': sys.executable, 'NNODES': '2', 'NODE_RANK':
                                                  str(rank), 'PORT': str(port), 'SHAPES_ROOT': str(shapes_root)})
        for rank in range(2)]
    outputs = [launch.communicate(timeout=500)[0] for launch in launches]
    assert [launch.returncode for launch in launches] == [0, 0], outputs[0][-3000:] + outputs[1][-3000:]
    content = read_checkpoint(tmp_path / 'machine0' / 'iter_4.pth')
    assert content['meta']['iter'] == 4, 'of 8 images two processes with a batch of 2 take two steps an epoch'
    assert all(torch.isfinite(value).all() for value in content['state_dict'].values() if value.is_floating_point())
    assert 'target_hits: 1.0000' in outputs[0], "regions of the first epoch, the other process's too, were not known"
    assert len(list((tmp_path / 'targets' / 'crops').glob('*.keys'))) == 2
