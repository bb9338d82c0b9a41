from mmengine.hooks import EMAHook as MMEngineEMAHook
from mmengine.runner import Runner

from rsc_mm.registry import HOOKS


@HOOKS.register_module()
class EMAHook(MMEngineEMAHook):
    """MMEngine's average of the weights, for models whose buffers get their size when weights are initialised.

    MMEngine copies the model before that: class embeddings of a detector have no channels then, and the first update of
    the average fails. Here the copy takes the buffers over before training starts.

    Args:
        **kwargs: see MMEngine's ``EMAHook``.
    """

    def before_train(self, runner: Runner) -> None:
        """Give the average the model's buffers.

        Args:
            runner: the runner.
        """
        super().before_train(runner)
        modules = dict(self.src_model.named_modules())
        for name, copy in self.ema_model.module.named_modules():
            for key, buffer in modules[name].named_buffers(recurse=False):
                setattr(copy, key, buffer.clone())

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Resume the average. A model that was loaded before the run, to be tested, is the average already.

        Args:
            runner: the runner.
            checkpoint: what was loaded.
        """
        if hasattr(self, 'ema_model'):
            super().after_load_checkpoint(runner, checkpoint)
