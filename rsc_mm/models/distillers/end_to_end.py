import torch
from mmengine.structures import BaseDataElement

from rsc_mm.registry import MODELS
from rsc_mm.utils.regions import region_tokens

from .refiner_trainer import crop_grid, crop_tokens
from .scrla import SCRLA


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
    """

    def __init__(self, backbone: dict, refiner: dict, refiner_loss: dict = dict(type='RefinerLoss'),
                 rla: dict | None = dict(type='CropAlignment'), scd_loss: dict = dict(type='SCDLoss'),
                 data_preprocessor: dict | None = None, init_cfg: dict | None = None) -> None:
        super().__init__(backbone, rla, scd_loss, refiner, data_preprocessor, init_cfg)
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
        dense = self.backbone.encode_dense(images)
        losses = self.rla(dense, regions, crops[~flags], data_samples, self.teacher) if self.rla else {}
        losses['loss_scd'] = self._scd(dense, maps, self.scd_loss.scoped(regions, images.shape[2:]))
        refined = self.refiner(maps, [box[flags] for box, flags in zip(boxes, local)],
                               crop_grid(self.teacher, crops.shape[3]))
        losses['loss_refiner'] = self.refiner_loss(refined, crop_tokens(self.teacher, crops[flags]))
        return losses

    def _scd(self, dense: torch.Tensor, maps: tuple[torch.Tensor, ...], boxes: list[torch.Tensor]) -> torch.Tensor:
        size = self.scd_loss.region_size
        with torch.no_grad():
            target = self.refiner(maps, boxes, size)
        return self.scd_loss(region_tokens(dense, boxes, self.backbone.patch_size, size), target)

    def _freeze_refiner(self) -> None:
        """It trains."""
