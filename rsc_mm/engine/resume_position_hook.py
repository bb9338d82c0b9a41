import warnings
from typing import Any

from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner
from torch.utils.data import BatchSampler, DataLoader

from rsc_mm.datasets import AspectRatioBatchSampler
from rsc_mm.registry import HOOKS
from rsc_mm.utils.checkpoint import CheckpointError

# What a checkpoint's place in the data depends on -> the field that sets it.
FIELDS = dict(seed='randomness.seed', images='train_dataloader.dataset', processes='number of GPUs',
              batch_size='train_dataloader.batch_size', accumulative_counts='optim_wrapper.accumulative_counts',
              steps_per_epoch='train_dataloader')


@HOOKS.register_module()
class ResumePositionHook(Hook):
    """Resume at the right sample, with another number of GPUs or another batch size too.

    A checkpoint counts steps; which images it has seen depends also on seed, data set, processes and batch size. These
    travel in ``meta.position``. With other numbers the step is converted, as far as the seen images are a whole number
    of the new batches, and the learning rate is that of the new schedule at this step; otherwise resuming is an error.
    """

    priority = 'HIGH'  # before hooks that save

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Add the position to ``meta``.

        Args:
            runner: the runner.
            checkpoint: what will be saved; changed in place.
        """
        meta, position = checkpoint['meta'], position_of(runner)
        steps = meta['iter'] - meta['epoch'] * position['steps_per_epoch']
        meta['position'] = {**position, 'steps_in_epoch': steps, 'samples_in_epoch': steps * joint_batch(position)}

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Check the position of a checkpoint to resume from, or convert it.

        Args:
            runner: the runner.
            checkpoint: what was loaded; changed in place.

        Raises:
            CheckpointError: it is no checkpoint to resume from, or its position means nothing here.
        """
        if not runner._resume:
            return
        check_resumable(checkpoint)
        meta, found = checkpoint['meta'], position_of(runner)
        saved = meta.get('position')
        if saved is None:
            return _check_steps(meta, found)
        for key in ('seed', 'images'):
            if saved[key] != found[key]:
                raise _other(key, saved, found, 'the order of the images is another one')
        if any(saved[key] != found[key] for key in ('processes', 'batch_size', 'steps_per_epoch')):
            convert(checkpoint, saved, found, runner)


def position_of(runner: Runner) -> dict[str, Any]:
    """What the meaning of a step depends on.

    Args:
        runner: in training, with its data loader built.
    """
    loader: DataLoader = runner.train_dataloader
    batches = loader.batch_sampler
    return dict(seed=getattr(batches.sampler, 'seed', None), images=len(loader.dataset), processes=get_world_size(),
                batch_size=getattr(batches, 'batch_size', None), steps_per_epoch=len(loader),
                accumulative_counts=(runner.cfg.get('optim_wrapper') or {}).get('accumulative_counts', 1))


def joint_batch(position: dict[str, Any]) -> int:
    """Images of one step over all processes.

    Args:
        position: see `position_of`.
    """
    return position['processes'] * (position['batch_size'] or 0)


def check_resumable(checkpoint: dict) -> None:
    """Refuse what holds weights only.

    Args:
        checkpoint: what was loaded.

    Raises:
        CheckpointError: a part is missing.
    """
    missing = [part for part in ('meta', 'message_hub', 'optimizer') if part not in checkpoint]
    missing += [f'meta.{key}' for key in ('epoch', 'iter') if key not in checkpoint.get('meta', {key: 0})]
    if missing:
        raise CheckpointError(f'resume: the checkpoint holds no {missing}, expected one that training saved to go on '
                              'from, such as iter_1000.pth; the weights of any other (a published tower, best_*.pth) '
                              "start a new training by the config's load_from or the backbone's init_cfg")


def convert(checkpoint: dict, saved: dict[str, Any], found: dict[str, Any], runner: Runner) -> None:
    """Express step and learning rate in the numbers of this run.

    Args:
        checkpoint: what was loaded; changed in place.
        saved: its position.
        found: this run's.
        runner: the runner, its schedules at their beginning.

    Raises:
        CheckpointError: the seen images are no whole number of the new batches, or another order would be entered.
    """
    meta, batch = checkpoint['meta'], joint_batch(found)
    steps, left = 0, 0
    if saved['steps_in_epoch'] >= saved['steps_per_epoch']:
        steps = found['steps_per_epoch']
    elif saved['samples_in_epoch']:
        steps, left = divmod(saved['samples_in_epoch'], batch) if batch else (0, 1)
    batches = runner.train_dataloader.batch_sampler
    same_order = type(batches) is BatchSampler or (isinstance(batches, AspectRatioBatchSampler)
                                                   and batch == joint_batch(saved))
    if left or (0 < steps < found['steps_per_epoch'] and not same_order):
        raise _other('batch_size', saved, found, f"the checkpoint has seen {saved['samples_in_epoch']} images of its "
                     f'epoch, which is no whole number of batches of {batch} in the same order')
    meta['iter'] = meta['epoch'] * found['steps_per_epoch'] + steps
    print_log(f'resume: was saved with {saved}, goes on with {found} at step {meta["iter"]}', 'current', level=30)
    if 'param_schedulers' in checkpoint and runner.param_schedulers:
        forward_schedules(runner, meta['iter'], meta['epoch'], found['steps_per_epoch'])
        checkpoint['param_schedulers'] = [scheduler.state_dict() for scheduler in runner.param_schedulers]
        for group, current in zip(checkpoint['optimizer']['param_groups'], runner.optim_wrapper.param_groups):
            group['lr'] = current['lr']


def forward_schedules(runner: Runner, steps: int, epochs: int, steps_per_epoch: int) -> None:
    """Take fresh schedules to a step.

    Args:
        runner: its schedules change in place.
        steps: steps done.
        epochs: epochs done.
        steps_per_epoch: of this run.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', 'Detected call of `scheduler.step', UserWarning)  # no step of the optimizer
        for step in range(1, steps + 1):
            at_epoch = step % steps_per_epoch == 0 and step // steps_per_epoch <= epochs
            for scheduler in runner.param_schedulers:
                if not scheduler.by_epoch or at_epoch:
                    scheduler.step()


def _check_steps(meta: dict, found: dict[str, Any]) -> None:
    """A checkpoint of an old version tells no position; its step must lie in its epoch."""
    steps = meta['iter'] - meta['epoch'] * found['steps_per_epoch']
    if not 0 <= steps <= found['steps_per_epoch']:
        raise CheckpointError(f"resume: the checkpoint is at step {meta['iter']} in epoch {meta['epoch']}, found "
                              f"epochs of {found['steps_per_epoch']} steps; expected the number of GPUs and the batch "
                              'size that it was saved with')


def _other(key: str, saved: dict[str, Any], found: dict[str, Any], reason: str) -> CheckpointError:
    pairs = ', '.join(f'{FIELDS[name]} {saved.get(name)} (found {value})' for name, value in found.items()
                      if saved.get(name) != value)
    return CheckpointError(f'resume, {FIELDS[key]}: the checkpoint was saved with {pairs}; {reason}. Go on with the '
                           'saved numbers, or from the end of an epoch')
