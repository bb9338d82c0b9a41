from typing import Any

from mmengine.logging import print_log
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch.utils.data import DataLoader

from rsc_mm.registry import LOOPS

from .resume_position_hook import ResumePositionHook
from .warm_up import fit_warm_up


@LOOPS.register_module()
class ResumableEpochLoop(EpochBasedTrainLoop):
    """Epoch-based training that resumes in the middle of an epoch with the very batches that were still to come.

    MMEngine's own loop starts the interrupted epoch anew. The order of `EpochSampler` depends on seed and epoch only,
    and its ``start`` skips samples without decoding them, so a killed and resumed run ends with the weights of an
    uninterrupted one. Checkpoints are to be saved by iteration. With a sampler without ``start``, such as MMEngine's
    DefaultSampler, training resumes at the beginning of an epoch only: save by epoch.

    The loop brings `ResumePositionHook`, which checks or converts the position, and shortens a warm-up that is longer
    than the training (`fit_warm_up`).

    Args:
        runner: the runner.
        dataloader: config or data loader; its sampler must be an `EpochSampler` to resume in mid-epoch.
        max_epochs: number of epochs.
        kwargs: ``val_begin``, ``val_interval`` and ``dynamic_intervals``, see MMEngine.
    """

    def __init__(self, runner: Runner, dataloader: DataLoader | dict, max_epochs: int, **kwargs: Any) -> None:
        super().__init__(runner, dataloader, max_epochs, **kwargs)
        runner.register_hook(ResumePositionHook())
        runner.param_schedulers = fit_warm_up(runner.param_schedulers, self.max_iters)

    def run(self) -> Any:
        """All epochs, or what is left of them."""
        if self._epoch >= self._max_epochs:
            print_log(f'nothing to train: the checkpoint is the end of epoch {self._epoch} of train_cfg.max_epochs = '
                      f'{self._max_epochs}', 'current')
        return super().run()

    def run_epoch(self) -> None:
        """One epoch, or what is left of it.

        Raises:
            ValueError: the position lies in mid-epoch and the sampler cannot begin there.
        """
        start = self._iter - self._epoch * len(self.dataloader)
        batches = self.dataloader.batch_sampler
        size = getattr(batches, 'batch_size', 0)
        if start and not (size and hasattr(batches.sampler, 'start')):
            raise ValueError(f'resume: found step {start} of {len(self.dataloader)} of an epoch, which '
                             f'{type(batches.sampler).__name__} cannot begin at; resume from the end of an epoch '
                             "(default_hooks.checkpoint.by_epoch=True), or use train_dataloader.sampler.type="
                             "'rsc_mm.EpochSampler'")
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        batches.sampler.start = start * size  # the sampler sets it back to 0
        for index, batch in enumerate(self.dataloader, start):
            self.run_iter(index, batch)
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1
