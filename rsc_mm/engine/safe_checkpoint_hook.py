from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dist import is_main_process
from mmengine.fileio import LocalBackend, register_backend
from mmengine.hooks import CheckpointHook
from mmengine.logging import HistoryBuffer
from mmengine.runner import Runner

from rsc_mm.registry import HOOKS
from rsc_mm.utils.checkpoint import not_finite
from rsc_mm.utils.files import replacing


@register_backend('whole_file')
class WholeFileBackend(LocalBackend):
    """Local files that are written beside their name and then renamed."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes.

        Args:
            obj: the bytes.
            filepath: the file.
        """
        with replacing(filepath) as path:
            path.write_bytes(obj)


@HOOKS.register_module()
class SafeCheckpointHook(CheckpointHook):
    """MMEngine's CheckpointHook in an order that a kill, a full disk and a diverged model cannot spoil.

    First the new checkpoint is written as a whole, then ``last_checkpoint`` names it, then older ones than
    ``max_keep_ckpts`` go; the best checkpoint is replaced in the same order. MMEngine deletes before it writes. What is
    written holds tensors and plain values only, so that ``torch.load(weights_only=True)`` reads it, the log's history
    included; weights that are not finite are not written.

    Args:
        max_keep_ckpts: how many of the newest to keep; 0 or less keeps all.
        kwargs: of MMEngine's CheckpointHook.
    """

    def __init__(self, max_keep_ckpts: int = 2, **kwargs: Any) -> None:
        super().__init__(**{'backend_args': dict(backend='whole_file'), **kwargs}, max_keep_ckpts=max_keep_ckpts)

    def before_train(self, runner: Runner) -> None:
        """Refuse an interval in whose middle gradients are still being summed.

        Args:
            runner: the runner.

        Raises:
            ValueError: ``interval`` is no multiple of ``accumulative_counts``.
        """
        super().before_train(runner)
        counts = runner.cfg.get('optim_wrapper', {}).get('accumulative_counts', 1)
        if not self.by_epoch and self.interval > 0 and self.interval % counts:
            raise ValueError(f'default_hooks.checkpoint.interval: found {self.interval}, expected a multiple of '
                             f'optim_wrapper.accumulative_counts = {counts}: gradients that are summed so far are not '
                             'saved')

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float]) -> None:
        """Save the best; the one before it goes when the new one is there. A validation without training saves nothing.

        Args:
            runner: the runner.
            metrics: what validation found.

        Raises:
            KeyError: the metric of ``save_best`` is not among them.
        """
        if not hasattr(self, 'file_backend'):  # made when training starts; `Runner.val` alone does not
            return
        if self.save_best and metrics and (unknown := set(self.save_best) - {'auto', *metrics}):
            raise KeyError(f'default_hooks.checkpoint.save_best: found {sorted(unknown)}, expected some of '
                           f'{sorted(metrics)}')
        before, self.best_ckpt_path = getattr(self, 'best_ckpt_path', None), None
        super().after_val_epoch(runner, metrics)
        self.best_ckpt_path = self.best_ckpt_path or before
        if before and before != self.best_ckpt_path and is_main_process():
            self._remove([Path(before).name])

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Make the checkpoint plain.

        Args:
            runner: the runner.
            checkpoint: what will be saved; changed in place.

        Raises:
            ValueError: weights are not finite.
        """
        for part in ('state_dict', 'student_state_dict'):
            if ruined := not_finite(checkpoint.get(part, {})):
                raise ValueError(f'step {runner.iter + 1}: {len(ruined)} tensors hold values that are not finite, '
                                 f'{ruined[0]} first; nothing is saved. The last checkpoint is '
                                 f'{last_checkpoint(runner.work_dir)}; go on from it by --resume, with a lower '
                                 'learning rate or gradient clipping')
        for part in {'meta', 'message_hub', 'optimizer', 'param_schedulers'} & checkpoint.keys():
            checkpoint[part] = plain(checkpoint[part])

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Give the log its history back.

        Args:
            runner: the runner.
            checkpoint: what was loaded; changed in place.
        """
        scalars = checkpoint.get('message_hub', {}).get('log_scalars', {})
        scalars.update({key: HistoryBuffer(value['values'].numpy(), value['counts'].numpy())
                        for key, value in scalars.items() if isinstance(value, dict)})

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        """MMEngine's, in another order. A resumed run removes what a kill before the last line left."""
        steps = list(dict.fromkeys([*getattr(self, 'keep_ckpt_ids', ()), step]))
        name = self.filename_tmpl.format(step)
        self.last_ckpt = self.file_backend.join_path(self.out_dir, name)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        if self.max_keep_ckpts > 0:
            runner.message_hub.update_info('keep_ckpt_ids', steps)
            self.keep_ckpt_ids = deque(steps, self.max_keep_ckpts)
        runner.save_checkpoint(self.out_dir, name, save_optimizer=self.save_optimizer, meta=meta,
                               save_param_scheduler=self.save_param_scheduler, by_epoch=self.by_epoch,
                               backend_args=self.backend_args, **self.args)
        if is_main_process():
            with replacing(Path(runner.work_dir, 'last_checkpoint')) as path:
                path.write_text(self.last_ckpt)
            kept = getattr(self, 'keep_ckpt_ids', steps)
            self._remove(self.filename_tmpl.format(old) for old in steps if old not in kept)

    def _remove(self, names: Iterable[str]) -> None:
        for path in [self.file_backend.join_path(self.out_dir, name) for name in names]:
            if self.file_backend.isfile(path):
                self.file_backend.remove(path)


def plain(value: Any) -> Any:
    """NumPy values and histories of the log as plain values and tensors, containers as dict, list and tuple.

    Args:
        value: of a checkpoint.
    """
    if isinstance(value, HistoryBuffer):
        return {'values': torch.from_numpy(value.data[0]), 'counts': torch.from_numpy(value.data[1])}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value)
    if isinstance(value, dict):
        return {plain(key): plain(entry) for key, entry in value.items()}
    return type(value)(map(plain, value)) if type(value) in (list, tuple) else value


def last_checkpoint(work_dir: str | Path) -> str | None:
    """What ``last_checkpoint`` names, None where there is no such file.

    Args:
        work_dir: of the run.
    """
    path = Path(work_dir, 'last_checkpoint')
    return path.read_text().strip() if path.is_file() else None
