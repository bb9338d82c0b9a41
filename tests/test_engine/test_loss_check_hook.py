import math
import multiprocessing
import socket
from pathlib import Path

import pytest
import torch
from mmengine.runner import Runner

from rsc_mm.engine import LossCheckHook
from rsc_mm.utils.checkpoint import CheckpointError
from tests.test_engine.test_safe_checkpoint_hook import names
from tests.test_engine.toy import Numbers, toy_runner


def batch_of(runner: Runner, image: int) -> tuple[int, list[str]]:
    """Step, counted from 1, and files of the batch in which an image comes in the first epoch."""
    order = [draw.index for draw in runner.train_dataloader.batch_sampler.sampler]
    step = order.index(image) // 4
    return step + 1, [f'{index}.jpg' for index in order[4 * step:4 * step + 4]]


def test_a_loss_that_is_not_finite_stops_before_anything_is_saved(tmp_path):
    runner = toy_runner(tmp_path, Numbers(broken=1))
    with pytest.raises(ValueError) as caught:
        runner.train()
    step, files = batch_of(runner, 1)
    assert step > 2 and caught.match(rf"step {step}: found losses that are not finite in \['loss_line'\]")
    assert caught.match(r"process 0: \{'loss_line': nan\}, images .*1\.jpg") and all(caught.match(f) for f in files)
    saved = (step - 1) // 2 * 2
    assert names(tmp_path)[-1] == f'iter_{saved}.pth' and caught.match(rf'The last checkpoint is .*iter_{saved}\.pth')
    resumed = toy_runner(tmp_path, resume=True)  # with the image repaired
    resumed.train()
    assert resumed.iter == 12 and math.isfinite(resumed.model.weight.item())


def test_before_the_first_checkpoint_training_starts_again(tmp_path):
    first = next(iter(toy_runner(tmp_path / 'order').train_dataloader.batch_sampler.sampler)).index
    with pytest.raises(ValueError, match='No checkpoint was saved: start again, after a look at these images'):
        toy_runner(tmp_path / 'run', Numbers(broken=first)).train()


def test_a_huge_learning_rate_leaves_finite_checkpoints(tmp_path):
    optimizer = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=1e15))
    with pytest.raises(ValueError, match='not finite'):
        toy_runner(tmp_path, optim_wrapper=optimizer, param_scheduler=None, epochs=9).train()
    for name in names(tmp_path):
        assert torch.load(tmp_path / name)['state_dict']['weight'].isfinite()


def test_weights_that_are_not_finite_are_not_loaded(tmp_path):
    torch.save({'state_dict': {'weight': torch.tensor(float('nan'))}}, tmp_path / 'ruined.pth')
    with pytest.raises(CheckpointError, match="ruined.pth: 1 of 1 tensors hold .* not finite, .'weight'. first"):
        toy_runner(tmp_path / 'run', load_from=str(tmp_path / 'ruined.pth')).train()


def two_processes(rank: int, port: int, folder: Path) -> None:
    """A loss of rank + 1, then one that is not a number on process 1 only."""
    torch.distributed.init_process_group('gloo', f'tcp://127.0.0.1:{port}', rank=rank, world_size=2)
    runner = type('Runner', (), dict(iter=6, work_dir=str(folder)))
    outputs = {'loss': torch.tensor(rank + 1.), 'acc': torch.tensor(50. + rank)}
    LossCheckHook().after_train_iter(runner, 0, {}, outputs)
    lines = [f'{outputs["loss"]:.1f} {outputs["acc"]:.1f}']
    batch = dict(data_samples=[dict(img_path=f'{rank}.jpg')])
    try:
        LossCheckHook().after_train_iter(runner, 0, batch, {'loss': torch.tensor(float('nan') if rank else 1.)})
    except ValueError as error:
        lines.append(str(error))
    (folder / str(rank)).write_text('\n'.join(lines))
    torch.distributed.destroy_process_group()


def test_the_log_shows_the_joint_loss_and_all_processes_stop(tmp_path):
    with socket.socket() as server:
        server.bind(('127.0.0.1', 0))
        port = server.getsockname()[1]
    context = multiprocessing.get_context('fork')
    processes = [context.Process(target=two_processes, args=(rank, port, tmp_path)) for rank in (0, 1)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    for rank in '01':
        joint, *error = (tmp_path / rank).read_text().splitlines()
        assert joint == '1.5 50.5' and error[0].startswith("step 7: found losses that are not finite in ['loss']")
        assert error[1:3] == ["process 0: finite, images ['0.jpg']", "process 1: {'loss': nan}, images ['1.jpg']"]
