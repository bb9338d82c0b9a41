from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import nn

from rsc_mm.registry import HOOKS
from rsc_mm.utils.checkpoint import CheckpointError, saved_readout


@HOOKS.register_module()
class ReadoutHook(Hook):
    """Store the readout of the tower with every checkpoint of a model, and refuse those of another readout.

    The weights of all readouts have the same names, and a segmentor or detector that is tested on another readout than
    it was trained on collapses without an error. Checkpoints that do not say theirs are taken.
    """

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Put the readout into ``meta``.

        Args:
            runner: the runner.
            checkpoint: what will be saved; changed in place.
        """
        checkpoint['meta']['readout'] = _tower(runner).readout_config

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Compare the readouts.

        Args:
            runner: the runner.
            checkpoint: what was loaded.

        Raises:
            CheckpointError: the checkpoint was saved with another readout.
        """
        check_saved_readout(_tower(runner), checkpoint, 'the checkpoint')


def check_saved_readout(tower: nn.Module, checkpoint: dict, source: str) -> None:
    """Refuse the checkpoint of a whole model that was trained on another readout.

    Args:
        tower: the model's backbone.
        checkpoint: content of a file, with ``meta`` or without.
        source: how the message names it.

    Raises:
        CheckpointError: the readouts differ.
    """
    saved, expected = saved_readout(checkpoint), tower.readout_config
    if saved not in (None, expected):
        raise CheckpointError(f'{source}: was trained with readout {saved!r}, expected {expected!r}, that of the '
                              f"config; set 'model.backbone.readout' to {saved!r}")


def _tower(runner: Runner) -> Any:
    return getattr(runner.model, 'module', runner.model).backbone
