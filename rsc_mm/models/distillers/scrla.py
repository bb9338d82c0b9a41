import torch
from mmengine.structures import BaseDataElement

from rsc_mm.registry import MODELS
from rsc_mm.utils.regions import region_tokens

from .distiller import Distiller


@MODELS.register_module()
class SCRLA(Distiller):
    r"""Spatial-correlation-guided Region-Language Alignment (Qiu et al., ICLR 2025, sec. 3.2-3.4): stage 2.

    .. math:: L = L_{RLA} + \lambda\,L_{SCD}(Z^s, Z^t)

    (eq. 6). :math:`Z^s` are the region tokens of the student's dense map, which runs once for both terms.
    :math:`Z^t` are those of

    * the frozen tower's dense map: SC-RLA;
    * the frozen Refiner: R-SC-RLA, and without RLA, R-SC-V.

    The Refiner never reaches the alignment: its target is the frozen tower's embedding of the crop, or the nouns.

    Args:
        backbone: the student tower.
        rla: `CropAlignment` (CLIPSelf), `NounAlignment` (Region-Text), or None (R-SC-V).
        scd_loss: see `SCDLoss`; its ``loss_weight`` is lambda.
        refiner: `Refiner` with ``init_cfg``, what stage 1 saved; None takes the frozen tower itself.
        data_preprocessor: see `RegionEncoder`.
        init_cfg: for MMEngine.
    """

    def __init__(self, backbone: dict, rla: dict | None = dict(type='CropAlignment'),
                 scd_loss: dict = dict(type='SCDLoss'), refiner: dict | None = None,
                 data_preprocessor: dict | None = None, init_cfg: dict | None = None) -> None:
        super().__init__(backbone, data_preprocessor, init_cfg)
        self.rla = rla and MODELS.build(rla)
        self.scd_loss = MODELS.build(scd_loss)
        self.refiner = None
        if refiner is not None:
            self.refiner = MODELS.build({**refiner, 'backbone': self.teacher})
            self._freeze_refiner()

    def init_weights(self) -> None:
        """Load the student, the teacher and the Refiner.

        Raises:
            FileNotFoundError: the Refiner's checkpoint is missing; the message gives the command that makes it.
            CheckpointError: it belongs to another tower.
        """
        if not self.is_init:
            super().init_weights()
            if self.refiner is not None:
                self.refiner.init_weights(self.teacher)

    def loss(self, images: torch.Tensor, boxes: list[torch.Tensor], crops: torch.Tensor | None,
             data_samples: list[BaseDataElement]) -> dict[str, torch.Tensor]:
        """Equation 6.

        Args:
            images: (B, 3, H, W).
            boxes: for each image (K_i, 4) in network pixels.
            crops: the same regions cut from the images (sum K_i, 3, s, s), as ``rla`` needs them.
            data_samples: as ``rla`` needs them.

        Returns:
            ``loss_scd``, and that of ``rla``.
        """
        dense = self.backbone.encode_dense(images)
        losses = self.rla(dense, boxes, crops, data_samples, self.teacher) if self.rla else {}
        regions = self.scd_loss.scoped(boxes, images.shape[2:])
        student = region_tokens(dense, regions, self.backbone.patch_size, self.scd_loss.region_size)
        losses['loss_scd'] = self.scd_loss(student, self.target(images, regions))
        return losses

    @torch.no_grad()
    def target(self, images: torch.Tensor, boxes: list[torch.Tensor]) -> torch.Tensor:
        """The tokens whose correlations the student learns.

        Args:
            images: (B, 3, H, W).
            boxes: for each image (K_i, 4) in network pixels.

        Returns:
            (sum K_i, L, D).
        """
        size = self.scd_loss.region_size
        if self.refiner is None:
            return region_tokens(self.teacher.encode_dense(images), boxes, self.teacher.patch_size, size)
        return self.refiner(self.teacher.intermediates(images, self.refiner.layers), boxes, size)

    def _freeze_refiner(self) -> None:
        self.refiner.requires_grad_(False).eval()
        self.frozen_parts = ('teacher', 'refiner')
