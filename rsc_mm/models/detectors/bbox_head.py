from collections.abc import Sequence
from pathlib import Path

import torch
from mmdet.models.roi_heads.bbox_heads import ConvFCBBoxHead
from mmdet.structures.bbox import scale_boxes
from mmengine.structures import InstanceData

from rsc_mm.models.heads import fuse_scores
from rsc_mm.models.losses import mask_novel
from rsc_mm.models.text import read_class_names
from rsc_mm.registry import MODELS

from .shared_box_nms import shared_box_nms
from .vocabulary_head import VocabularyHead


@MODELS.register_module()
class FViTBBoxHead(VocabularyHead, ConvFCBBoxHead):
    r"""Box head with class embeddings for weights and score fusion at test (CLIPSelf, sec. A.3; F-VLM, sec. 3).

    .. math:: p = \mathrm{softmax}(\tau\, \hat x \cdot E), \quad q = \mathrm{softmax}(T\, \hat v \cdot E), \quad
              s = p^{1-\gamma} q^{\gamma}

    with x the head's feature, v CLIP's dense feature of the same box, E the embeddings of T classes and of the word
    'background', :math:`\gamma = \alpha` for base classes and background, :math:`\beta` for novel ones. Training
    leaves novel classes out, see `MaskedCrossEntropyLoss`. Boxes are regressed without regard to the class.

    Embeddings are made when weights are initialised or at the first use, and saved with the weights: a detector that
    reads a checkpoint needs the text tower only for names that the checkpoint does not hold, or for other templates.

    Args:
        classes: all T classes in label order, as `read_class_names` takes them: list, vocabulary or json file.
        base_classes: those that training annotates, as `read_base_classes` takes them.
        class_embeddings: where E comes from, as `load_class_embeddings` takes it: a file, or a dict with a text tower.
        temperature: :math:`\tau` at the start of training.
        fixed_temperature: :math:`\tau` in the place of the learned one, for transfer.
        clip_temperature: T; with the readouts of DeCLIP 45 on OV-COCO and 90 on OV-LVIS.
        alpha: CLIP's share for base classes.
        beta: CLIP's share for novel classes.
        loss_cls: `MaskedCrossEntropyLoss` with the background's weight.
        **kwargs: see mmdet's `ConvFCBBoxHead`; ``fc_out_channels`` is CLIP's embedding size.
    """

    def __init__(self, classes: str | Path | Sequence[str], base_classes: str | Path | Sequence[str],
                 class_embeddings: torch.Tensor | str | dict, temperature: float = 50.,
                 fixed_temperature: float | None = None, clip_temperature: float = 75., alpha: float = 0.1,
                 beta: float = 0.8, loss_cls: dict = dict(type='rsc_mm.MaskedCrossEntropyLoss', background_weight=0.6),
                 **kwargs: object) -> None:
        classifier = dict(type='rsc_mm.TextClassifier', temperature=temperature, fixed_temperature=fixed_temperature)
        number = len(read_class_names(classes))
        super().__init__(num_classes=number, reg_class_agnostic=True, loss_cls=loss_cls,
                         cls_predictor_cfg=classifier, **kwargs)
        self.clip_temperature = clip_temperature
        self.alpha = alpha
        self.beta = beta
        self.start_vocabulary(classes, base_classes, class_embeddings)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits and deltas of boxes, see mmdet's `ConvFCBBoxHead`.

        Args:
            x: features of K boxes (K, C, size, size).

        Returns:
            (K, T+1) and (K, 4).
        """
        self.embed_classes()
        return super().forward(x)

    def loss(self, cls_score: torch.Tensor, *args: object, **kwargs: object) -> dict[str, torch.Tensor]:
        """mmdet's losses of classes and boxes, with novel classes masked.

        Args:
            cls_score: logits (K, T+1).
            *args: see mmdet's `BBoxHead.loss`.
            **kwargs: likewise.

        Returns:
            ``loss_cls``, ``acc`` and ``loss_bbox``.
        """
        return super().loss(mask_novel(cls_score, self.is_base), *args, **kwargs)

    def scores(self, logits: torch.Tensor, regions: torch.Tensor) -> torch.Tensor:
        """Fused scores of the classes.

        Args:
            logits: of this head (K, T+1).
            regions: CLIP's dense features of the same boxes (K, D), of any length.

        Returns:
            (K, T+1), float32; they do not add up to 1.
        """
        clip = (self.clip_temperature * self.fc_cls.cosine(regions)).softmax(dim=1)
        return fuse_scores(logits.softmax(dim=1), clip, self.is_base, self.alpha, self.beta)

    def predict_by_feat(self, rois: tuple[torch.Tensor, ...], cls_scores: tuple[torch.Tensor, ...],
                        bbox_preds: tuple[torch.Tensor, ...], batch_img_metas: list[dict],
                        rcnn_test_cfg: dict | None = None, rescale: bool = False) -> list[InstanceData]:
        """Detections of every image after NMS; unlike mmdet without a softmax, since the scores are fused.

        Args:
            rois: for each image number and box (K_i, 5) in network pixels.
            cls_scores: for each image the fused scores (K_i, T+1).
            bbox_preds: for each image the deltas (K_i, 4).
            batch_img_metas: ``img_shape``, and ``scale_factor`` if boxes are rescaled.
            rcnn_test_cfg: ``score_thr``, ``nms`` and ``max_per_img``.
            rescale: boxes in original pixels.

        Returns:
            For each image ``bboxes`` (N, 4), ``scores`` (N,) and ``labels`` (N,).
        """
        return [self._detections(*parts, rcnn_test_cfg, rescale)
                for parts in zip(rois, cls_scores, bbox_preds, batch_img_metas)]

    def _detections(self, rois: torch.Tensor, scores: torch.Tensor, deltas: torch.Tensor, meta: dict, cfg: dict,
                    rescale: bool) -> InstanceData:
        boxes = self.bbox_coder.decode(rois[:, 1:], deltas.float(), max_shape=meta['img_shape'])
        if rescale and len(boxes):
            boxes = scale_boxes(boxes, [1 / factor for factor in meta['scale_factor']])
        boxes, labels = shared_box_nms(boxes, scores, cfg['score_thr'], cfg['nms'], cfg['max_per_img'])
        return InstanceData(bboxes=boxes[:, :4], scores=boxes[:, 4], labels=labels)
