from mmengine.runner import EpochBasedTrainLoop

from rsc_mm.registry import LOOPS


@LOOPS.register_module()
class ResumableEpochLoop(EpochBasedTrainLoop):
    """Epoch-based training that resumes in the middle of an epoch with the very batches that were still to come.

    MMEngine's own loop starts the interrupted epoch anew. The order of `EpochSampler` depends on seed and epoch only,
    and its ``start`` skips samples without decoding them, so a killed and resumed run ends with the weights of an
    uninterrupted one. Checkpoints are to be saved by iteration.

    Args:
        runner: the runner.
        dataloader: config or data loader; its sampler must be an `EpochSampler`.
        max_epochs: number of epochs.
        val_begin: first epoch to validate after.
        val_interval: epochs between validations.
        dynamic_intervals: see MMEngine.
    """

    def run_epoch(self) -> None:
        """One epoch, or what is left of it."""
        start = self._iter - self._epoch * len(self.dataloader)
        batches = self.dataloader.batch_sampler
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        batches.sampler.start = start * batches.batch_size  # the sampler sets it back to 0
        for index, batch in enumerate(self.dataloader, start):
            self.run_iter(index, batch)
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1
