from collections.abc import Sequence
from pathlib import Path

import torch
from mmdet.models.detectors import TwoStageDetector
from mmdet.structures import DetDataSample
from torch import nn

from rsc_mm.registry import MODELS

from .frozen_tower import freeze_tower


@MODELS.register_module()
class FViT(TwoStageDetector):
    """Open-vocabulary detector on a frozen CLIP tower (F-ViT; CLIPSelf, Wu et al., ICLR 2024, sec. 4.2 and A.3).

    One pass of the tower gives the maps for the pyramid and, at test, the dense map for the score fusion: the last map
    is the readout of the last block, of which the dense map is the projection.

    Whatever the annotation file holds, novel objects take no part in training: neither the RPN nor the box head sees
    their boxes. The public code relies on a file without them.

    Args:
        backbone: a CLIP tower with four ``out_indices``, of which the last is its last block.
        neck: `ViTPyramidFPN`.
        rpn_head: `NormRPNHead`.
        roi_head: `FViTRoIHead` with an `FViTBBoxHead`.
        **kwargs: see mmdet's `TwoStageDetector`.

    Raises:
        ValueError: the maps do not end with the last block.
    """

    def __init__(self, backbone: dict, neck: dict, rpn_head: dict, roi_head: dict, **kwargs: object) -> None:
        super().__init__(backbone=backbone, neck=neck, rpn_head=rpn_head, roi_head=roi_head, **kwargs)
        tower = freeze_tower(self)
        self.roi_head.patch_size = tower.patch_size
        self.register_load_state_dict_pre_hook(_drop_unused_masks)

    def set_vocabulary(self, classes: str | Path | Sequence[str],
                       class_embeddings: torch.Tensor | str | dict | None = None) -> None:
        """Change the classes without training, see `FViTBBoxHead.set_vocabulary`.

        Args:
            classes: T classes in label order: list, vocabulary or file.
            class_embeddings: where their embeddings come from; None: from where the head's own came.
        """
        self.roi_head.bbox_head.set_vocabulary(classes, class_embeddings)

    def loss(self, batch_inputs: torch.Tensor, batch_data_samples: list[DetDataSample]) -> dict[str, torch.Tensor]:
        """Losses of RPN, classes, boxes and masks.

        Args:
            batch_inputs: normalised images (B, 3, H, W).
            batch_data_samples: B samples with ``gt_instances``; novel ones are left out.

        Returns:
            Losses by name.
        """
        for sample in batch_data_samples:
            labels = sample.gt_instances.labels
            sample.gt_instances = sample.gt_instances[self.roi_head.bbox_head.is_base[labels]]
        return super().loss(batch_inputs, batch_data_samples)

    def predict(self, batch_inputs: torch.Tensor, batch_data_samples: list[DetDataSample],
                rescale: bool = True) -> list[DetDataSample]:
        """Detections.

        Args:
            batch_inputs: normalised images (B, 3, H, W).
            batch_data_samples: B samples; ``proposals`` take the place of the RPN's.
            rescale: boxes and masks in original pixels.

        Returns:
            The samples with ``pred_instances``: bboxes (N, 4), scores (N,), labels (N,), and masks if there is a head.
        """
        maps = self.backbone(batch_inputs)
        levels = self.neck(maps)
        if 'proposals' in batch_data_samples[0]:
            proposals = [sample.proposals for sample in batch_data_samples]
        else:
            proposals = self.rpn_head.predict(levels, batch_data_samples, rescale=False)
        levels = (*levels, self.backbone.project(maps[-1]))
        results = self.roi_head.predict(levels, proposals, batch_data_samples, rescale=rescale)
        return self.add_pred_to_datasample(batch_data_samples, results)


def _drop_unused_masks(module: nn.Module, state_dict: dict, prefix: str, *args: object) -> None:
    """A detector of boxes reads the checkpoint of one with a mask head (transfer from LVIS)."""
    if not module.roi_head.with_mask:
        for key in [key for key in state_dict if key.startswith(f'{prefix}roi_head.mask_head.')]:
            del state_dict[key]
