from pathlib import Path

import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from rsc_mm.models.distillers import RefinerTrainer
from rsc_mm.registry import HOOKS
from rsc_mm.utils.files import replacing
from rsc_mm.utils.refiner_checkpoint import check_tower, tower_identity


@HOOKS.register_module()
class RefinerCheckpointHook(Hook):
    """Write a Refiner together with the name and hash of its tower; at the end also as ``refiner.pth``.

    Checkpoints go on from where they were; ``refiner.pth`` in the work directory, weights and meta only, is what
    stage 2 reads.
    """

    priority = 'NORMAL'

    def before_train(self, runner: Runner) -> None:
        """Remember the tower.

        Args:
            runner: the runner.

        Raises:
            TypeError: the model is no `RefinerTrainer`.
        """
        self.tower = tower_identity(trainer_of(runner).backbone)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Add the tower to ``meta``.

        Args:
            runner: the runner.
            checkpoint: what will be saved; changed in place.
        """
        checkpoint['meta'].update(self.tower)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Refuse to go on with another tower.

        Args:
            runner: the runner.
            checkpoint: what was loaded.

        Raises:
            CheckpointError: it belongs to another tower.
        """
        check_tower(checkpoint.get('meta', {}), tower_identity(trainer_of(runner).backbone), 'the checkpoint to load')

    def after_train(self, runner: Runner) -> None:
        """Write ``refiner.pth``.

        Args:
            runner: the runner.
        """
        if is_main_process():
            weights = {key: value.cpu() for key, value in trainer_of(runner).state_dict().items()}
            with replacing(Path(runner.work_dir, 'refiner.pth')) as path:
                torch.save({'state_dict': weights, 'meta': self.tower}, path)


def trainer_of(runner: Runner) -> RefinerTrainer:
    """The runner's model without a DDP wrapper.

    Args:
        runner: the runner.

    Raises:
        TypeError: it is no `RefinerTrainer`.
    """
    model = getattr(runner.model, 'module', runner.model)
    if not isinstance(model, RefinerTrainer):
        raise TypeError(f'RefinerCheckpointHook: found model {type(model).__name__}, expected a RefinerTrainer')
    return model
