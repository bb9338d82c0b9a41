import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from rsc_mm.models.distillers import Distiller, ensemble
from rsc_mm.registry import HOOKS


@HOOKS.register_module()
class WeightEnsembleHook(Hook):
    r"""Save and validate :math:`\alpha\,\theta_{student} + (1-\alpha)\,\theta_{teacher}` while the student trains on.

    The checkpoint's ``state_dict`` holds the ensemble (as the public CLIPSelf code: alpha = 0.7 for ViT-B, 0.95 for
    ViT-L); ``student_state_dict`` holds the raw student, from which training resumes. The readout's name is put into
    ``meta``.

    Args:
        alpha: the student's share, in (0, 1].

    Raises:
        ValueError: alpha is out of range.
        TypeError: the model is no distiller.
    """

    priority = 'NORMAL'

    def __init__(self, alpha: float) -> None:
        if not 0 < alpha <= 1:
            raise ValueError(f"WeightEnsembleHook field 'alpha': found {alpha}, expected 0 < alpha <= 1")
        self.alpha = alpha
        self.student: dict[str, torch.Tensor] | None = None
        self.training = False

    def before_train(self, runner: Runner) -> None:
        """From here on validation runs on the ensemble.

        Args:
            runner: the runner.
        """
        self.training = True

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Put the ensemble in the place of the student.

        Args:
            runner: the runner.
            checkpoint: what will be saved; changed in place.
        """
        model = distiller_of(runner)
        checkpoint['student_state_dict'] = checkpoint['state_dict']
        mixed = {f'backbone.{key}': value.cpu() for key, value in
                 ensemble(model.backbone, model.teacher, self.alpha).items()}
        checkpoint['state_dict'] = {**checkpoint['state_dict'], **mixed}
        checkpoint['meta'].update(readout=model.backbone.readout_config, alpha=self.alpha)

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Resume from the raw student; anything else loads the ensemble.

        Args:
            runner: the runner.
            checkpoint: what was loaded; changed in place.

        Raises:
            KeyError: a checkpoint to resume from holds no raw student.
        """
        if runner._resume:
            if 'student_state_dict' not in checkpoint:
                raise KeyError('resume: the checkpoint holds no student_state_dict, expected one saved with '
                               'WeightEnsembleHook; an ensembled student cannot go on training')
            checkpoint['state_dict'] = checkpoint['student_state_dict']

    def before_val_epoch(self, runner: Runner) -> None:
        """Swap the ensemble in.

        Args:
            runner: the runner.
        """
        if self.training:
            backbone = distiller_of(runner).backbone
            self.student = {key: value.clone() for key, value in backbone.state_dict().items()}
            backbone.load_state_dict(ensemble(backbone, distiller_of(runner).teacher, self.alpha))

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Swap the student back in.

        Args:
            runner: the runner.
            metrics: not used.
        """
        if self.student is not None:
            distiller_of(runner).backbone.load_state_dict(self.student)
            self.student = None


def distiller_of(runner: Runner) -> Distiller:
    """The runner's model without a DDP wrapper.

    Args:
        runner: the runner.

    Raises:
        TypeError: it is no `Distiller`.
    """
    model = getattr(runner.model, 'module', runner.model)
    if not isinstance(model, Distiller):
        raise TypeError(f'WeightEnsembleHook: found model {type(model).__name__}, expected a distiller with a teacher')
    return model
