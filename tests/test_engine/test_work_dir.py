import multiprocessing
import os
import signal
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from rsc_mm.apis import load_config
from rsc_mm.engine import lock_work_dir, train
from rsc_mm.engine.work_dir import checkpoint_to_resume
from rsc_mm.utils.checkpoint import CheckpointError
from rsc_mm.utils.config_check import check_config
from tests.test_engine.toy import toy_runner
from tests.test_tools.common import REPOSITORY


def hold(folder: Path, ready: object) -> None:
    """A training that runs until it is killed."""
    lock_work_dir(folder)
    ready.set()
    signal.pause()


def test_a_second_training_stops_and_a_killed_one_leaves_no_lock(tmp_path):
    context = multiprocessing.get_context('fork')
    ready = context.Event()
    first = context.Process(target=hold, args=(tmp_path, ready))
    first.start()
    assert ready.wait(30)
    with pytest.raises(ValueError, match=f'--work-dir {tmp_path}: another training is running there'):
        lock_work_dir(tmp_path)
    os.kill(first.pid, signal.SIGKILL)
    first.join()
    lock_work_dir(tmp_path)
    lock_work_dir(tmp_path)  # the same run may ask twice


def test_a_file_is_no_work_directory(tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(ValueError, match=f'--work-dir {tmp_path / "file"}: found a file, expected a folder or none'):
        train(Config(dict(work_dir=str(tmp_path / 'file'), launcher='none')))


def test_where_training_goes_on(tmp_path):
    assert checkpoint_to_resume(tmp_path) is None
    (tmp_path / 'iter_2.pth').touch()
    for name in ('', '/moved/from/iter_3.pth'):
        (tmp_path / 'last_checkpoint').write_text(name)
        with pytest.raises(CheckpointError, match=rf"last_checkpoint: names '{name}', .* one of \['iter_2.pth'\]"):
            checkpoint_to_resume(tmp_path)
    (tmp_path / 'last_checkpoint').write_text('/moved/from/iter_2.pth\n')
    assert checkpoint_to_resume(tmp_path) == str(tmp_path / 'iter_2.pth')


def test_a_corrupt_checkpoint_is_named(tmp_path):
    torch.save({'state_dict': {'weight': torch.ones(1000)}}, tmp_path / 'iter_9.pth')
    content = (tmp_path / 'iter_9.pth').read_bytes()
    (tmp_path / 'iter_9.pth').write_bytes(content[:1000])
    with pytest.raises(CheckpointError, match=r'iter_9.pth: cannot be read as weights .* expected a whole file'):
        toy_runner(tmp_path, resume=True, load_from=str(tmp_path / 'iter_9.pth')).train()


@pytest.mark.parametrize('key, nearest', [('optim_wraper', 'optim_wrapper'), ('train_config', 'train_cfg'),
                                          ('custom_hook', 'custom_hooks'), ('load_form', 'load_from')])
def test_a_misspelt_field_is_refused(key, nearest):
    with pytest.raises(ValueError, match=f"found the field '{key}', which nothing reads; expected '{nearest}'"):
        check_config(Config({key: 1, 'data_root': 'x'}, filename=None))


def test_an_option_for_no_field_is_refused(monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    expected = r"--cfg-options trian_cfg.max_epochs: .* has no field 'trian_cfg', .*'train_cfg'"
    with pytest.raises(ValueError, match=expected):
        load_config('configs/shapes/clipself_grid.py', {'trian_cfg.max_epochs': 1})


def test_loaders_without_workers(monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    config = load_config('configs/clipself/clipself_vitb16_coco_patches.py', {'train_dataloader.num_workers': 0})
    assert config.train_dataloader.persistent_workers is False and config.val_dataloader.persistent_workers is True
