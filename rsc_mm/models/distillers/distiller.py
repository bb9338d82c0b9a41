import copy

import torch
from torch import nn

from rsc_mm.models.region_encoder import RegionEncoder


class Distiller(RegionEncoder):
    """A student tower beside the frozen tower it starts from; base class of the methods.

    A frozen part is an ordinary submodule that gets no gradient, always is in eval mode, and never enters the state
    dict: its weights are read anew, the teacher's from the backbone's ``init_cfg``, at every start and resume.

    Args:
        backbone: the student; the teacher is its copy after its weights are loaded.
        data_preprocessor: see `RegionEncoder`.
        init_cfg: for MMEngine.

    Attributes:
        rla: the alignment with language of methods that have one, such as `CropAlignment`.
        frozen_parts: names of the submodules that are not saved.
    """

    frozen_parts: tuple[str, ...] = ('teacher', )

    def __init__(self, backbone: dict, data_preprocessor: dict | None = None, init_cfg: dict | None = None) -> None:
        super().__init__(backbone, data_preprocessor, init_cfg)
        self.teacher = copy.deepcopy(self.backbone).freeze()
        self.rla: nn.Module | None = None
        self.register_state_dict_post_hook(drop_frozen_parts)
        self.register_load_state_dict_pre_hook(keep_frozen_parts)

    def init_weights(self) -> None:
        """Load the student's weights, copy them to the teacher, and embed the nouns of Region-Text."""
        if not self.is_init:
            self.backbone.init_weights()
            self.teacher.load_state_dict(self.backbone.state_dict())
            if hasattr(self.rla, 'embed_nouns'):
                self.rla.embed_nouns(self.backbone.embed_dim)
            self._is_init = True


def drop_frozen_parts(module: nn.Module, state_dict: dict, prefix: str, local_metadata: dict) -> None:
    """State dict hook: remove what ``module.frozen_parts`` names.

    Args:
        module: a distiller.
        state_dict: changed in place.
        prefix: of the module's keys.
        local_metadata: not used.
    """
    frozen = tuple(f'{prefix}{part}.' for part in module.frozen_parts)
    for key in [key for key in state_dict if key.startswith(frozen)]:
        del state_dict[key]


def keep_frozen_parts(module: nn.Module, state_dict: dict, prefix: str, *args: object) -> None:
    """Loading hook: the parts that were not saved stay as they are.

    Args:
        module: a distiller.
        state_dict: changed in place.
        prefix: of the module's keys.
        args: not used.
    """
    for part in module.frozen_parts:
        weights = getattr(module, part).state_dict()
        state_dict.update({f'{prefix}{part}.{key}': value for key, value in weights.items()})


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
