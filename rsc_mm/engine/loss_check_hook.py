import torch
from mmengine.dist import all_gather_object, all_reduce_dict, get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner

from rsc_mm.registry import HOOKS
from rsc_mm.utils.checkpoint import CheckpointError, not_finite

from .safe_checkpoint_hook import last_checkpoint


@HOOKS.register_module()
class LossCheckHook(Hook):
    """Log the losses of the joint batch, and stop at one that is not finite before anything is saved.

    Each process knows the losses of its own images only; the log shows their mean over the processes, which is the
    loss of the joint batch. All processes see the same mean and stop at the same step.
    """

    priority = 'HIGHEST'  # before RuntimeInfoHook writes the losses into the log

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None,
                         outputs: dict[str, torch.Tensor] | None = None) -> None:
        """Replace the losses by their means over all processes.

        Args:
            runner: the runner.
            batch_idx: not used.
            data_batch: what the step saw.
            outputs: losses by name; changed in place.

        Raises:
            ValueError: one is not finite.
        """
        values = {key: value.detach().clone() for key, value in (outputs or {}).items()
                  if isinstance(value, torch.Tensor)}
        own = dict(values)
        all_reduce_dict(values, op='mean')
        # One copy to the host; the log would make one for each loss.
        values = dict(zip(values, torch.stack([value.float() for value in values.values()]).cpu())) if values else {}
        outputs.update(values)
        broken = [key for key, value in values.items() if 'loss' in key and not value.isfinite()]
        if broken:
            raise ValueError(_message(runner, broken, own, data_batch))

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Refuse weights that are not finite.

        Args:
            runner: the runner.
            checkpoint: what was loaded.

        Raises:
            CheckpointError: some are not; the message names them.
        """
        weights = checkpoint.get('state_dict', checkpoint)
        if ruined := not_finite(weights):
            raise CheckpointError(f'checkpoint {runner._load_from}: {len(ruined)} of {len(weights)} tensors hold '
                                  f'values that are not finite, {ruined[:5]} first; expected weights of a run that did '
                                  'not diverge')


def _message(runner: Runner, broken: list[str], own: dict[str, torch.Tensor], data_batch: dict | None) -> str:
    broken = [key for key in broken if key != 'loss'] or broken  # 'loss' is their sum
    mine = {key: own[key].item() for key in broken if not own[key].isfinite()}
    found = all_gather_object((get_rank(), mine, image_names(data_batch)))
    lines = [f'process {rank}: {losses or "finite"}, images {names}' for rank, losses, names in found]
    return (f'step {runner.iter + 1}: found losses that are not finite in {broken}, expected finite ones; nothing of '
            f'this step is saved.\n' + '\n'.join(lines) +
            f'\n{_way_on(runner)}, after a look at these images, the learning rate, or optim_wrapper.clip_grad')


def _way_on(runner: Runner) -> str:
    last = last_checkpoint(runner.work_dir)
    return f'The last checkpoint is {last}: --resume goes on from it' if last else \
        'No checkpoint was saved: start again'


def image_names(data_batch: dict | None) -> list[str]:
    """Files of the images of a batch, or their ids.

    Args:
        data_batch: as the data loader gives it.
    """
    samples = data_batch.get('data_samples', []) if isinstance(data_batch, dict) else []
    return [str(sample.get('img_path', sample.get('img_id'))) for sample in samples]
