from collections.abc import Sequence
from pathlib import Path

import torch
from mmdet.models.detectors import Mask2Former
from mmdet.structures import DetDataSample
from mmengine.config import ConfigDict
from mmengine.structures import PixelData

from rsc_mm.evaluation.panoptic_quality import INSTANCE_OFFSET
from rsc_mm.models.heads import ensemble_categories
from rsc_mm.models.text import match_names, read_class_names
from rsc_mm.registry import MODELS

from .frozen_tower import freeze_tower
from .predicted_masks import label_pixels, mask_features


@MODELS.register_module()
class OVMask2Former(Mask2Former):
    r"""Open-vocabulary panoptic segmentation on a frozen CLIP tower (FC-CLIP, Yu et al., NeurIPS 2023, sec. 3).

    One pass of the tower gives the maps for the pyramid and the dense map V. At test every mask is classified twice, by
    `TextMask2FormerHead` and by :math:`q = \mathrm{softmax}(T \cos(\bar v, E))` with the mean :math:`\bar v` of the
    unit vectors of V in the mask; `ensemble_categories` joins the two. With ``alpha`` and ``beta`` 1 the class is
    CLIP's alone: the first rows of CLIPSelf's table 5, and the trained head then only says whether there is an object.

    FC-CLIP pools a ConvNeXt's features before their projection; here the readout's projected tokens are pooled, as in
    region classification. A mask without a cell of the grid takes the cell of its largest logit.

    With ``test_cfg.semantic_on``, which mmdet's own refuses, every pixel takes a class too, see `label_pixels`.

    Args:
        backbone: a CLIP tower with as many ``out_indices`` as the neck takes, of which the last is its last block.
        neck: `ViTPyramid` (four maps) or `ViTPyramidMapper` (three, without the finest level).
        panoptic_head: `TextMask2FormerHead`.
        clip_temperature: T.
        alpha: CLIP's share for classes of training.
        beta: CLIP's share for all others.
        test_cfg: see mmdet's `Mask2Former`.
        **kwargs: likewise.

    Raises:
        ValueError: the maps do not end with the last block, or there are too many classes to number segments.
    """

    def __init__(self, backbone: dict, neck: dict, panoptic_head: dict, clip_temperature: float = 100.,
                 alpha: float = 0.4, beta: float = 0.8, test_cfg: dict | None = None, **kwargs: object) -> None:
        test_cfg = ConfigDict(test_cfg or {})
        semantic_on = bool(test_cfg.pop('semantic_on', False))  # mmdet's fusion refuses it
        super().__init__(backbone=backbone, neck=neck, panoptic_head=panoptic_head, test_cfg=test_cfg, **kwargs)
        freeze_tower(self)
        self.semantic_on = semantic_on
        self._check_number()
        self.clip_temperature = clip_temperature
        self.alpha = alpha
        self.beta = beta

    @property
    def classes(self) -> tuple[str, ...]:
        """The T classes: in training mode those of training, else those of test."""
        return self.panoptic_head.classes

    @property
    def is_seen(self) -> torch.Tensor:
        """(T,) bool: classes of test of which training had one of the texts, see `match_names`."""
        vocabulary = self.panoptic_head.vocabulary
        trained = [text for texts in vocabulary.train_queries[1] for text in texts]
        return torch.tensor([max(match_names(texts, trained)) >= 0 for texts in vocabulary.test_queries[1]],
                            device=self.panoptic_head.void.device)

    def set_vocabulary(self, things: str | Path | Sequence[str], stuff: str | Path | Sequence[str] = ()) -> None:
        """Change the classes of test.

        Args:
            things: names, vocabulary or file, see `read_class_names`; 'dog; puppy' is one class with two texts.
            stuff: likewise, or empty.

        Raises:
            ValueError: a class is named twice, or there are too many.
        """
        things = read_class_names(things)
        self.panoptic_head.vocabulary.set_vocabulary(things + (read_class_names(stuff) if len(stuff) else []))
        self.panoptic_head.test_num_things = len(things)
        self._check_number()

    def predict(self, batch_inputs: torch.Tensor, batch_data_samples: list[DetDataSample],
                rescale: bool = True) -> list[DetDataSample]:
        """Panoptic segments, and with ``test_cfg.instance_on`` and ``semantic_on`` instances and labels of pixels.

        Args:
            batch_inputs: normalised images (B, 3, H, W).
            batch_data_samples: B samples.
            rescale: in original pixels.

        Returns:
            The samples with ``pred_panoptic_seg.sem_seg`` (1, H, W): class + 1000 x instance, T where there is nothing;
            ``pred_instances``; ``pred_sem_seg.data`` (1, H, W) of 0..T-1.
        """
        maps = self.backbone(batch_inputs)
        logits, masks = self.panoptic_head.predict(self.neck(maps), batch_data_samples)
        for mask, sample in zip(masks, batch_data_samples):  # what lies in the padding belongs to no mask
            height, width = sample.img_shape[:2]
            mask[:, height:] = mask[:, :, width:] = -torch.inf
        cosines = self.panoptic_head.class_cosines(mask_features(self.backbone.project(maps[-1]), masks))
        classes = ensemble_categories(logits, self.clip_temperature * cosines, self.is_seen, self.alpha, self.beta)
        fusion = self.panoptic_fusion_head
        fusion.num_things_classes, fusion.num_classes = self.panoptic_head.num_things, len(self.classes)
        # mmdet takes the softmax: that of the logarithm of probabilities is the probabilities.
        results = fusion.predict(classes.log(), masks, batch_data_samples, rescale=rescale)
        samples = self.add_pred_to_datasample(batch_data_samples, results)
        if self.semantic_on:
            for sample, *parts in zip(samples, classes, masks):
                size = sample.ori_shape if rescale else sample.img_shape
                sample.pred_sem_seg = PixelData(data=label_pixels(*parts, sample.img_shape[:2], size[:2])[None])
        return samples

    def _check_number(self) -> None:
        number = len(self.panoptic_head.vocabulary.test_queries[0])
        if number >= INSTANCE_OFFSET:
            raise ValueError(f'OVMask2Former: found {number} classes of test, expected at most {INSTANCE_OFFSET - 1}, '
                             'since a segment is written as class + 1000 x instance')
