import copy

import torch
from torch import nn

from rsc_mm.models.region_encoder import RegionEncoder


class Distiller(RegionEncoder):
    """A student tower beside the frozen tower it starts from; base class of the methods.

    The teacher is an ordinary submodule that gets no gradient, always is in eval mode, and never enters the state
    dict: its weights are those of the backbone's ``init_cfg``, at every start and resume.

    Args:
        backbone: the student; the teacher is its copy after its weights are loaded.
        data_preprocessor: see `RegionEncoder`.
        init_cfg: for MMEngine.
    """

    def __init__(self, backbone: dict, data_preprocessor: dict | None = None, init_cfg: dict | None = None) -> None:
        super().__init__(backbone, data_preprocessor, init_cfg)
        self.teacher = copy.deepcopy(self.backbone).requires_grad_(False)
        self.teacher.frozen_stages = self.teacher.depth  # frozen as a whole: eval mode always
        self.teacher.eval()
        self.register_state_dict_post_hook(_drop_teacher)
        self.register_load_state_dict_pre_hook(_keep_teacher)

    def init_weights(self) -> None:
        """Load the student's weights and copy them to the teacher."""
        if not self.is_init:
            self.backbone.init_weights()
            self.teacher.load_state_dict(self.backbone.state_dict())
            self._is_init = True


def _drop_teacher(module: nn.Module, state_dict: dict, prefix: str, local_metadata: dict) -> None:
    for key in [key for key in state_dict if key.startswith(prefix + 'teacher.')]:
        del state_dict[key]


def _keep_teacher(module: nn.Module, state_dict: dict, prefix: str, *args: object) -> None:
    state_dict.update({f'{prefix}teacher.{key}': value for key, value in module.teacher.state_dict().items()})


@torch.no_grad()
def ensemble(student: nn.Module, teacher: nn.Module, alpha: float) -> dict[str, torch.Tensor]:
    r"""Weight-space ensemble :math:`\alpha\,\theta_{student} + (1-\alpha)\,\theta_{teacher}` (public CLIPSelf code).

    Args:
        student: the trained tower.
        teacher: the tower it started from.
        alpha: the student's share, 0..1.

    Returns:
        A state dict of the tower.
    """
    original = teacher.state_dict()
    return {key: torch.lerp(original[key], value, alpha) if value.is_floating_point() else value
            for key, value in student.state_dict().items()}
