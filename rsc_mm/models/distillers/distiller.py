import copy
from functools import partial

import torch
from torch import nn

from rsc_mm.models.region_encoder import RegionEncoder
from rsc_mm.registry import MODELS


class Distiller(RegionEncoder):
    """A student tower beside a frozen teacher, by default the tower it starts from; base class of the methods.

    A frozen part is an ordinary submodule that gets no gradient, always is in eval mode, and never enters the state
    dict: its weights are read anew at every start and resume, from the teacher's ``init_cfg`` or the backbone's.

    Args:
        backbone: the student.
        data_preprocessor: see `RegionEncoder`; its ``crop_size`` should be the teacher's native size.
        init_cfg: for MMEngine.
        teacher: another tower, with its own ``init_cfg``; None: a copy of the student after its weights are loaded.
            Patch and depth may differ from the student's; alignment with crops needs the same embedding space.
        targets: ``dict(type='CachedTargets', path=FOLDER)`` keeps what the frozen parts say of a region on disk.

    Attributes:
        rla: the alignment with language of methods that have one, such as `CropAlignment`.
        frozen_parts: names of the submodules that are not saved.
    """

    frozen_parts: tuple[str, ...] = ('teacher', )

    def __init__(self, backbone: dict, data_preprocessor: dict | None = None, init_cfg: dict | None = None,
                 teacher: dict | None = None, targets: dict | None = None) -> None:
        super().__init__(backbone, data_preprocessor, init_cfg)
        self.copies_student = teacher is None
        self.teacher = (copy.deepcopy(self.backbone) if teacher is None else MODELS.build(teacher)).freeze()
        self.rla: nn.Module | None = None
        self.targets = targets and MODELS.build(targets)
        if self.targets:
            self.data_preprocessor.read_targets = partial(self.targets.read, self)
        self.register_state_dict_post_hook(drop_frozen_parts)
        self.register_load_state_dict_pre_hook(keep_frozen_parts)

    @property
    def crop_targets(self) -> tuple[str, int] | None:
        """What a cache keeps of a region's crop: its sub-folder and the numbers of a region; None: nothing."""
        return ('crops', self.teacher.embed_dim) if hasattr(self.rla, 'align_loss') else None

    def init_weights(self) -> None:
        """Load the student's weights, copy them to the teacher or load the teacher's own, and prepare the alignment.

        Raises:
            ValueError: teacher or nouns live in another embedding space than the student.
        """
        if not self.is_init:
            self.backbone.init_weights()
            if self.copies_student:
                self.teacher.load_state_dict(self.backbone.state_dict())
            else:
                self.teacher.init_weights()
            if self.rla is not None:
                self.rla.prepare(self.backbone, self.teacher)
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

    With alpha = 1 the teacher may be any tower.

    Args:
        student: the trained tower.
        teacher: the tower it started from.
        alpha: the student's share, 0..1.

    Returns:
        A state dict of the tower.

    Raises:
        ValueError: the teacher is no tower that the student could have started from.
    """
    if alpha == 1:
        return dict(student.state_dict())
    shapes = [{key: value.shape for key, value in tower.state_dict().items()} for tower in (student, teacher)]
    if shapes[0] != shapes[1]:
        raise ValueError(f"WeightEnsembleHook field 'alpha': found {alpha} with a teacher of another shape than the "
                         "student's, expected 1, or as teacher the tower that the student started from")
    original = teacher.state_dict()
    return {key: torch.lerp(original[key], value, alpha) if value.is_floating_point() else value
            for key, value in student.state_dict().items()}
