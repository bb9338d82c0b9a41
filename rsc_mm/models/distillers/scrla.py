import torch
from mmengine.structures import BaseDataElement
from torch.nn import functional as F

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
        teacher: another tower than a copy of the student, see `Distiller`.
        targets: ``dict(type='CachedTargets', path=FOLDER)``, see `Distiller`.
    """

    def __init__(self, backbone: dict, rla: dict | None = dict(type='CropAlignment'),
                 scd_loss: dict = dict(type='SCDLoss'), refiner: dict | None = None,
                 data_preprocessor: dict | None = None, init_cfg: dict | None = None,
                 teacher: dict | None = None, targets: dict | None = None) -> None:
        super().__init__(backbone, data_preprocessor, init_cfg, teacher, targets)
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
        patch_size, losses = self.backbone.patch_size, {}
        dense, unit = self.encode(images)
        if self.rla is not None:
            losses = self.rla(unit, boxes, patch_size, crops, data_samples, self.teacher)
        parts = self.scd_loss.parts(boxes, image_shapes(data_samples, images), patch_size)
        student = [region_tokens(dense[i], rows, patch_size, size) for i, rows, size in parts]
        if self.targets:
            losses['loss_scd'] = self.scd_loss.against(*student, self.correlations(images, boxes, data_samples))
        else:
            losses['loss_scd'] = self.scd_loss(student, self.target(images, parts))
        return losses

    def encode(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The student's dense map, once: as `SCDLoss` compares it, and of unit tokens as the alignment does.

        Args:
            images: (B, 3, H, W).

        Returns:
            Two maps (B, D, h, w), the same unless ``scd_loss.normalise`` is False.
        """
        dense = self.backbone.encode_dense(images, normalize=self.scd_loss.normalise)
        return dense, dense if self.scd_loss.normalise else F.normalize(dense.float(), dim=1)

    @torch.no_grad()
    def target(self, images: torch.Tensor, parts: list[tuple]) -> list[torch.Tensor]:
        """The tokens whose correlations the student learns; raw ones unless ``scd_loss.normalise``.

        Args:
            images: (B, 3, H, W).
            parts: see `SCDLoss.parts`.

        Returns:
            For each part (K, L, D).
        """
        if self.refiner is None:
            dense, patch_size = self.teacher.encode_dense(images, self.scd_loss.normalise), self.teacher.patch_size
            return [region_tokens(dense[i], rows, patch_size, size) for i, rows, size in parts]
        maps = self.teacher.intermediates(images, self.refiner.layers)
        return [self.refiner([m[i] for m in maps], rows, size) for i, rows, size in parts]

    @torch.no_grad()
    def correlations(self, images: torch.Tensor, boxes: list[torch.Tensor],
                     data_samples: list[BaseDataElement]) -> torch.Tensor:
        """The correlations of `target` from the cache; the frozen parts see the images with regions it does not know.

        Args:
            images: (B, 3, H, W).
            boxes: for each image (K_i, 4) in network pixels.
            data_samples: hold the cached targets.

        Returns:
            (sum K_i, L, L).
        """
        def correlate(numbers: list[int], unknown: list[torch.Tensor]) -> torch.Tensor:
            rows = [boxes[i][flags] for i, flags in zip(numbers, unknown)]
            tokens = self.target(images[numbers], [(slice(None), rows, self.scd_loss.region_size)])
            return self.scd_loss.correlations(*tokens)
        return self.targets.correlations(data_samples, images.device, correlate)

    def _freeze_refiner(self) -> None:
        self.refiner.requires_grad_(False).eval()
        self.frozen_parts = ('teacher', 'refiner')


def image_shapes(data_samples: list[BaseDataElement], images: torch.Tensor) -> list[tuple[int, int]]:
    """Height and width of every image in network pixels without the padding; the whole input where a sample has none.

    Args:
        data_samples: of B images, with the meta field ``img_shape`` that `RegionPreprocessor` sets.
        images: (B, 3, H, W).
    """
    whole = tuple(images.shape[2:])
    return [sample.get('img_shape', whole) for sample in data_samples] or [whole] * len(images)
