import errno
from pathlib import Path

import pytest
import torch
from mmengine.hooks import CheckpointHook, Hook
from mmengine.runner import Runner

from rsc_mm.engine import SafeCheckpointHook
from tests.test_engine.toy import KillAt, toy_runner


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob('*.pth'))


def kill_at_save(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Ends the run like a kill where checkpoint number ``count`` would be written."""
    calls, save = [], Runner.save_checkpoint

    def save_or_die(self: Runner, *args: object, **kwargs: object) -> None:
        calls.append(args)
        if len(calls) == count:
            raise KeyboardInterrupt
        save(self, *args, **kwargs)

    monkeypatch.setattr(Runner, 'save_checkpoint', save_or_die)


@pytest.mark.parametrize('keep', [1, 2])
def test_a_kill_while_saving_leaves_the_last_checkpoint(tmp_path, monkeypatch, keep):
    kill_at_save(monkeypatch, 4)
    hooks = dict(checkpoint=dict(type='SafeCheckpointHook', by_epoch=False, interval=2, max_keep_ckpts=keep))
    with pytest.raises(KeyboardInterrupt):
        toy_runner(tmp_path, default_hooks=hooks).train()
    assert torch.load((tmp_path / 'last_checkpoint').read_text())['meta']['iter'] == 6
    monkeypatch.undo()
    runner = toy_runner(tmp_path, resume=True, default_hooks=hooks)
    runner.train()
    assert runner.iter == 12 and names(tmp_path) == ['iter_12.pth', 'iter_10.pth'][:keep][::-1]


def test_mmengine_deletes_before_it_writes(tmp_path, monkeypatch):
    """Why there is a hook of our own."""
    kill_at_save(monkeypatch, 2)
    hooks = dict(checkpoint=dict(type='mmengine.CheckpointHook', by_epoch=False, interval=2, max_keep_ckpts=1))
    with pytest.raises(KeyboardInterrupt):
        toy_runner(tmp_path, default_hooks=hooks).train()
    assert not Path((tmp_path / 'last_checkpoint').read_text()).exists()


def test_two_are_kept_by_default(tmp_path):
    assert SafeCheckpointHook().max_keep_ckpts == 2 and CheckpointHook().max_keep_ckpts == -1
    toy_runner(tmp_path).train()
    assert names(tmp_path) == ['iter_10.pth', 'iter_12.pth']


def test_a_full_disk_leaves_the_last_checkpoint(tmp_path, monkeypatch):
    write = Path.write_bytes

    def write_or_fail(path: Path, data: bytes) -> int:
        if path.name.startswith('iter_6'):
            write(path, data[:100])
            raise OSError(errno.ENOSPC, 'No space left on device')
        return write(path, data)

    monkeypatch.setattr(Path, 'write_bytes', write_or_fail)
    with pytest.raises(OSError, match=r'iter_6.pth: could not be written.*No space left on device'):
        toy_runner(tmp_path).train()
    last = (tmp_path / 'last_checkpoint').read_text()
    assert Path(last).name == 'iter_4.pth' and torch.load(last)['meta']['iter'] == 4
    assert names(tmp_path) == ['iter_2.pth', 'iter_4.pth']  # nothing partial, nothing deleted


def test_the_best_is_kept_beside_the_last_two(tmp_path, monkeypatch):
    hooks = dict(checkpoint=dict(type='SafeCheckpointHook', interval=1, save_best='novel', rule='greater'))
    runner = toy_runner(tmp_path, default_hooks=hooks, epochs=5)
    scores = iter([10., 30., 20., 30., float('nan')])

    saver = next(hook for hook in runner.hooks if isinstance(hook, SafeCheckpointHook))

    class Validate(Hook):
        priority = 'LOWEST'

        def after_train_epoch(self, runner: Runner) -> None:
            runner.train_loop._epoch += 1  # as when MMEngine validates
            saver.after_val_epoch(runner, {'novel': next(scores)})
            runner.train_loop._epoch -= 1

    runner.register_hook(Validate())
    runner.train()
    assert names(tmp_path) == ['best_novel_epoch_2.pth', 'epoch_4.pth', 'epoch_5.pth']
    assert 'optimizer' not in torch.load(tmp_path / 'best_novel_epoch_2.pth')
    with pytest.raises(KeyError, match=r"save_best: found \['novel'\], expected some of \['base'\]"):
        saver.after_val_epoch(runner, {'base': 1.})


def test_ruined_weights_are_not_written(tmp_path):
    runner = toy_runner(tmp_path, optim_wrapper=dict(optimizer=dict(type='SGD', lr=float('inf'))), param_scheduler=None)
    with pytest.raises(ValueError, match=r'found losses that are not finite|values that are not finite, weight first'):
        runner.train()
    assert names(tmp_path) == []


def test_checkpoints_are_plain_and_the_log_goes_on(tmp_path):
    whole = toy_runner(tmp_path / 'whole')
    whole.train()
    with pytest.raises(KeyboardInterrupt):
        toy_runner(tmp_path / 'part', custom_hooks=[KillAt(6)]).train()
    content = torch.load(tmp_path / 'part' / 'iter_6.pth')  # weights_only is torch's default
    assert len(content['message_hub']['log_scalars']['train/loss']['values']) == 6 and content['optimizer']['state']
    assert not torch.serialization.get_unsafe_globals_in_checkpoint(tmp_path / 'part' / 'iter_6.pth')
    resumed = toy_runner(tmp_path / 'part', resume=True)
    resumed.train()
    losses = [runner.message_hub.get_scalar('train/loss').data[0].tolist() for runner in (whole, resumed)]
    assert len(losses[0]) == 12 and losses[0] == losses[1]


def test_gradients_that_are_being_summed_are_not_cut(tmp_path):
    config = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1), accumulative_counts=3)
    runner = toy_runner(tmp_path, optim_wrapper=config, cfg=dict(optim_wrapper=config))
    with pytest.raises(ValueError, match='interval: found 2, expected a multiple of optim_wrapper.accumulative_counts'):
        runner.train()
