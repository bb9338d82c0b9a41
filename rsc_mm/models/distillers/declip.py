import torch
from mmengine.structures import BaseDataElement
from torch.nn import functional as F

from rsc_mm.registry import MODELS

from .alignment import CropAlignment
from .distiller import Distiller


@MODELS.register_module()
class DeCLIP(Distiller):
    r"""Decoupled content and context (Wang et al., CVPR 2025, sec. 3.2-3.3).

    .. math:: (X_{content}, X_{context}) = f(X), \quad
              L = \frac{1}{K} \sum_k \big(1 - \cos(\mathrm{RoIAlign}(X_{content}, b_k), f_{image}(X[b_k]))\big)
              + \lambda\,L_{context}(X_{context}, \mathrm{VFM}(X))

    (eq. 6-10). The readout gives both maps in one pass: 'qq' (the paper's Q), 'csa' (Q+K). Unlike the public code, the
    gradients of all processes are averaged, and the grids of student and VFM must agree: resizing the context would
    blur its tokens (in the public code it scrambles them).

    Args:
        backbone: the student tower with such a readout.
        vfm: `VFMTeacher`.
        align_loss: distance of region and crop.
        context_loss: see `ContextCorrelationLoss`; its ``loss_weight`` is lambda.
        unit_tokens: whether the content's tokens have length 1 before regions are pooled, in training and prediction;
            the public code: no for EVA-CLIP, yes for OpenAI's CLIP.
        data_preprocessor: see `RegionEncoder`.
        init_cfg: for MMEngine.
        teacher: another tower than a copy of the student, see `Distiller`.
        targets: ``dict(type='CachedTargets', path=FOLDER)`` for the crops, see `Distiller`.
    """

    frozen_parts: tuple[str, ...] = ('teacher', 'vfm')

    def __init__(self, backbone: dict, vfm: dict, align_loss: dict = dict(type='RegionAlignmentLoss'),
                 context_loss: dict = dict(type='ContextCorrelationLoss'), unit_tokens: bool = False,
                 data_preprocessor: dict | None = None, init_cfg: dict | None = None,
                 teacher: dict | None = None, targets: dict | None = None) -> None:
        super().__init__(backbone, data_preprocessor, init_cfg, teacher, targets)
        self.unit_tokens = unit_tokens
        self.rla = CropAlignment(align_loss)
        self.vfm = MODELS.build(vfm)
        self.context_loss = MODELS.build(context_loss)

    def init_weights(self) -> None:
        """Load the student, the teacher and the VFM."""
        if not self.is_init:
            super().init_weights()
            self.vfm.init_weights()

    def loss(self, images: torch.Tensor, boxes: list[torch.Tensor], crops: torch.Tensor,
             data_samples: list[BaseDataElement]) -> dict[str, torch.Tensor]:
        """Equation 10.

        Args:
            images: (B, 3, H, W).
            boxes: for each image (K_i, 4) in network pixels.
            crops: the same regions cut from the images (sum K_i, 3, s, s).
            data_samples: not used.

        Returns:
            ``loss_align`` and ``loss_context``.
        """
        content, context = self.encode(images)
        patch_size = self.backbone.patch_size
        losses = self.rla(self.poolable(content), boxes, patch_size, crops, data_samples, self.teacher)
        target = self.vfm(images, tuple(context.shape[2:]), patch_size)
        return {**losses, 'loss_context': self.context_loss(context, target)}

    def encode(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Content, and the map whose correlations follow the VFM's.

        Args:
            images: (B, 3, H, W).

        Returns:
            (B, D, h, w), not normalised, and (B, E, h, w).
        """
        return self.backbone.encode_content_and_context(images)

    def poolable(self, content: torch.Tensor) -> torch.Tensor:
        """The content as regions are pooled from it, in training as `predict` does.

        Args:
            content: (B, D, h, w), not normalised.

        Returns:
            (B, D, h, w), of unit tokens if ``unit_tokens``.
        """
        return F.normalize(content.float(), dim=1) if self.unit_tokens else content
