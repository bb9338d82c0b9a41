import torch
from mmengine.structures import BaseDataElement

from rsc_mm.registry import MODELS
from rsc_mm.utils.regions import grid_shape, region_tokens

from .refiner_trainer import crop_tokens
from .scrla import SCRLA, image_shapes


@MODELS.register_module()
class EndToEndSCRLA(SCRLA):
    r"""R-SC-RLA with both stages at once (Qiu et al., ICLR 2025, sec. 4.5, E2E).

    .. math:: L = L_{RLA} + \lambda\,L_{SCD}(Z^s, \hat Z) + L_{Refiner}

    The Refiner learns from the local crops of `WithLocalCrops`; its tokens of the other regions, without gradient, are
    the target. The teacher's early blocks run once for both. The Refiner trains, and is saved with the student.

    Args:
        backbone: the student tower.
        refiner: `Refiner`; without ``init_cfg`` it starts from the tower's last blocks.
        refiner_loss: see `RefinerLoss`.
        rla: see `SCRLA`.
        scd_loss: see `SCRLA`.
        data_preprocessor: see `RegionEncoder`.
        init_cfg: for MMEngine.
        teacher: another tower than a copy of the student, see `Distiller`.
    """

    def __init__(self, backbone: dict, refiner: dict, refiner_loss: dict = dict(type='RefinerLoss'),
                 rla: dict | None = dict(type='CropAlignment'), scd_loss: dict = dict(type='SCDLoss'),
                 data_preprocessor: dict | None = None, init_cfg: dict | None = None,
                 teacher: dict | None = None) -> None:
        super().__init__(backbone, rla, scd_loss, refiner, data_preprocessor, init_cfg, teacher)
        self.refiner_loss = MODELS.build(refiner_loss)

    def loss(self, images: torch.Tensor, boxes: list[torch.Tensor], crops: torch.Tensor,
             data_samples: list[BaseDataElement]) -> dict[str, torch.Tensor]:
        """The three terms.

        Args:
            images: (B, 3, H, W).
            boxes: for each image proposals and local boxes (K_i, 4) in network pixels.
            crops: the same cut from the images (sum K_i, 3, s, s).
            data_samples: their ``is_local`` (K_i,) tells the local boxes.

        Returns:
            ``loss_scd``, ``loss_refiner``, and that of ``rla``.

        Raises:
            ValueError: the samples do not tell the local boxes.
        """
        if not all('is_local' in sample for sample in data_samples):
            raise ValueError("EndToEndSCRLA: found samples without 'is_local', expected regions=dict("
                             "type='WithLocalCrops', regions=dict(...)) in the training dataset")
        local = [sample.is_local.to(images.device) for sample in data_samples]
        regions = [box[~flags] for box, flags in zip(boxes, local)]
        flags = torch.cat([torch.zeros(0, dtype=torch.bool, device=images.device), *local])  # (sum K_i,)
        with torch.no_grad():
            maps = self.teacher.intermediates(images, self.refiner.layers)
        patch_size, losses = self.backbone.patch_size, {}
        dense, unit = self.encode(images)
        if self.rla is not None:
            losses = self.rla(unit, regions, patch_size, crops[~flags], data_samples, self.teacher)
        parts = self.scd_loss.parts(regions, image_shapes(data_samples, images), patch_size)
        student = [region_tokens(dense[i], rows, patch_size, size) for i, rows, size in parts]
        with torch.no_grad():
            target = [self.refiner([m[i] for m in maps], rows, size) for i, rows, size in parts]
        losses['loss_scd'] = self.scd_loss(student, target)
        refined = self.refiner(maps, [box[flags] for box, flags in zip(boxes, local)],
                               grid_shape(crops.shape[2:], self.teacher.patch_size))
        losses['loss_refiner'] = self.refiner_loss(refined, crop_tokens(self.teacher, crops[flags]))
        return losses

    def _freeze_refiner(self) -> None:
        """It trains."""
