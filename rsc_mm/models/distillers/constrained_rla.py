import torch
from mmengine.structures import BaseDataElement

from rsc_mm.registry import MODELS

from .constraints import encode_maps
from .distiller import Distiller


@MODELS.register_module()
class ConstrainedRLA(Distiller):
    r"""Region-language alignment with a constraint that the R-SC paper compares with its own (sec. 4.5, table 6(a)).

    .. math:: L = L_{RLA} + \lambda\,L_{constraint}

    The student's dense map is computed once for both. What a constraint learns or averages, such as an EMA teacher, is
    saved with the model. The comparison losses L_F and L_Inter are fields of `SCDLoss`.

    Args:
        backbone: the student tower.
        rla: alignment, `CropAlignment` or `NounAlignment`.
        constraint: `AttentionCorrelation`, `DenseContrast` or `MaskedModelling`; holds its weight lambda.
        data_preprocessor: see `RegionEncoder`.
        init_cfg: for MMEngine.
        teacher: another tower than a copy of the student, see `Distiller`.
    """

    def __init__(self, backbone: dict, rla: dict, constraint: dict, data_preprocessor: dict | None = None,
                 init_cfg: dict | None = None, teacher: dict | None = None) -> None:
        super().__init__(backbone, data_preprocessor, init_cfg, teacher)
        self.rla = MODELS.build(rla)
        self.constraint = MODELS.build({**constraint, 'backbone': self.backbone})

    def loss(self, images: torch.Tensor, boxes: list[torch.Tensor], crops: torch.Tensor | None,
             data_samples: list[BaseDataElement]) -> dict[str, torch.Tensor]:
        """Alignment and constraint.

        Args:
            images: (B, 3, H, W).
            boxes: for each image (K_i, 4) in network pixels.
            crops: the same regions cut from the images (sum K_i, 3, s, s).
            data_samples: B data samples.

        Returns:
            The alignment's loss and ``loss_constraint``.
        """
        maps = encode_maps(self.backbone, images)
        losses = self.rla(maps.dense, boxes, self.backbone.patch_size, crops, data_samples, self.teacher)
        constraint = self.constraint(self.backbone, self.teacher, images, maps, boxes, crops)
        return {**losses, 'loss_constraint': constraint}
