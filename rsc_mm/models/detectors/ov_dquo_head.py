from collections.abc import Sequence
from pathlib import Path

import torch
from mmdet.models.dense_heads import DINOHead
from mmdet.models.task_modules import HungarianAssigner
from mmdet.registry import MODELS as MMDET_MODELS
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import bbox_cxcywh_to_xyxy, bbox_overlaps, bbox_xyxy_to_cxcywh, scale_boxes
from mmdet.utils import reduce_mean
from mmengine.structures import InstanceData
from torch import nn
from torch.nn import functional as F
from torchvision.ops import clip_boxes_to_image

from rsc_mm.models.text import read_class_names
from rsc_mm.registry import MODELS
from rsc_mm.utils.precision import full_precision
from rsc_mm.utils.regions import pool_regions

from .shared_box_nms import shared_box_nms
from .text_denoising import DenoisingQueries
from .vocabulary_head import VocabularyHead


@MODELS.register_module()
class OVDQUOHead(VocabularyHead, DINOHead):
    r"""Box head of OV-DQUO: one logit, is it an object; CLIP alone says of which class.

    Training, for each decoder layer (class-aware matches) and the encoder's proposals (plain matches):

    .. math:: L = \frac{2}{n_r + n_u} \sum_q w_q^{1/2}\, \mathrm{VFL}(o_q, \mathrm{IoU}_q)
              + \frac{5}{n_r} \sum_{real} L_1 + \frac{2}{n_r} \sum_{real} L_{GIoU}

    and for the decoder's layers :math:`2 / (n_r\, groups) \sum w^{1/2}\, \mathrm{focal}` of the denoising queries.
    :math:`n_r, n_u` are the matched real and pseudo boxes of the last layer, each averaged over processes and at
    least 1, for all layers; w is a pseudo box's score of being an object, 1 for real boxes. Pseudo boxes have no box
    loss.

    Test, of a final box with the dense feature v:

    .. math:: s_c = \mathrm{softmax}([\tau\, \hat v \cdot E;\ 0])_c\ \sigma(o)

    A box that resembles no class loses its mass to the constant 0.

    Deviations from the public code: scores are thresholded as they are, not taken to logits and back with a clamp of
    1e-3; a pair with an IoU of exactly 0 counts as background in the varifocal loss, as in mmdet's, where the public
    code leaves it out; padding of the denoising queries has no loss; boxes are clipped to the image before their
    features are pooled.

    Args:
        classes: all T classes in label order, as `read_class_names` takes them.
        base_classes: those that training annotates, as `read_base_classes` takes them.
        class_embeddings: where E comes from, as `load_class_embeddings` takes it; the last row is the wildcard, the
            embedding of 'object'.
        text_channels: CLIP's embedding size D.
        num_sampled_classes: classes of a training step, 100 on OV-LVIS; None: all base classes.
        temperature: :math:`\tau`, also of the text assignment; 50 with DeCLIP's towers.
        novel_prior: factor of novel classes when a query's text is chosen at test: 3 on OV-COCO, 8 on OV-LVIS.
        loss_denoising: of the denoising queries.
        **kwargs: see mmdet's `DINOHead`.

    Attributes:
        num_training_classes: S, the classes of a training step.

    Raises:
        ValueError: there are fewer base classes than a step is to see, or none.
    """

    last_word = 'object'
    field = 'bbox_head'

    def __init__(self, classes: str | Path | Sequence[str], base_classes: str | Path | Sequence[str],
                 class_embeddings: torch.Tensor | str | dict, text_channels: int,
                 num_sampled_classes: int | None = None, temperature: float = 100., novel_prior: float = 3.,
                 loss_denoising: dict = dict(type='mmdet.FocalLoss', gamma=2.0, alpha=0.25, loss_weight=2.0),
                 **kwargs: object) -> None:
        super().__init__(num_classes=1, **kwargs)
        self.fc_cls = MODELS.build(dict(
            type='rsc_mm.TextClassifier', in_features=text_channels, out_features=len(read_class_names(classes)) + 1,
            temperature=temperature, fixed_temperature=temperature))
        self.novel_prior = novel_prior
        self.num_sampled_classes = num_sampled_classes
        self.loss_denoising = MMDET_MODELS.build(loss_denoising)
        if self.train_cfg:
            self.encoder_assigner = HungarianAssigner(self.train_cfg['assigner']['match_costs'])
        self.start_vocabulary(classes, base_classes, class_embeddings)
        number = sum(name in self.base_classes for name in self.classes)
        self.num_training_classes = number if num_sampled_classes is None else num_sampled_classes
        if not 0 < self.num_training_classes <= number:
            raise ValueError(f"OVDQUOHead field 'num_sampled_classes': found {num_sampled_classes}, expected 1 to "
                             f"{number}, the number of base classes among 'classes', or None for all")

    @property
    def base_labels(self) -> torch.Tensor:
        """Labels of the base classes (N,), ascending."""
        return self.is_base[:-1].nonzero()[:, 0]

    def _init_layers(self) -> None:
        """One objectness for all layers of the decoder and one for the encoder; boxes have a branch for each."""
        super()._init_layers()
        shared, encoder = (nn.Linear(self.embed_dims, 1) for _ in range(2))
        self.cls_branches = nn.ModuleList([shared] * (self.num_pred_layer - 1) + [encoder])

    @full_precision
    def loss(self, hidden_states: torch.Tensor, references: list[torch.Tensor], enc_outputs_class: torch.Tensor,
             enc_outputs_coord: torch.Tensor, batch_data_samples: list[DetDataSample], texts: torch.Tensor,
             denoising: DenoisingQueries) -> dict[str, torch.Tensor]:
        """All losses of a step.

        Args:
            hidden_states: decoder layers (L, B, N + Q, C), denoising queries first.
            references: L + 1 boxes (B, N + Q, 4).
            enc_outputs_class: objectness of the proposals (B, Q, 1).
            enc_outputs_coord: the proposals (B, Q, 4): centre, width and height relative to the image.
            batch_data_samples: with ``gt_instances`` as `training_objects` makes them.
            texts: that each matching query carries (B, Q).
            denoising: the denoising queries.

        Returns:
            ``loss_cls``, ``loss_bbox``, ``loss_iou``, ``dn_loss_cls``, with 'd0.' and so on for earlier layers and
            'enc_' for the encoder.
        """
        logits, boxes = self(hidden_states, references)
        objects = [sample.gt_instances for sample in batch_data_samples]
        shapes = [sample.img_shape for sample in batch_data_samples]
        split = denoising.boxes.shape[1]
        layers = list(zip(logits[:, :, split:, 0], boxes[:, :, split:]))
        found = [self.match(*layer, objects, shapes, texts) for layer in layers]
        divisors = self.divisors(found[-1], objects)
        names = [f'd{i}.' for i in range(len(layers) - 1)] + ['']
        losses = {}
        for name, layer, assigned, noisy in zip(names, layers, found, logits[:, :, :split, 0]):
            losses.update(self.matched_losses(*layer, assigned, objects, shapes, divisors, name))
            losses[f'{name}dn_loss_cls'] = self.denoising_loss(noisy, denoising, divisors[0])
        proposals = enc_outputs_class[..., 0], enc_outputs_coord
        assigned = self.match(*proposals, objects, shapes)
        return {**losses, **self.matched_losses(*proposals, assigned, objects, shapes, divisors, 'enc_')}

    def match(self, logits: torch.Tensor, boxes: torch.Tensor, objects: list[InstanceData],
              shapes: list[tuple[int, int]], texts: torch.Tensor | None = None) -> torch.Tensor:
        """Which object each query is matched to.

        Args:
            logits: (B, Q).
            boxes: relative (B, Q, 4).
            objects: for each image.
            shapes: height and width of each image.
            texts: that queries carry (B, Q): class-aware matching; None: plain.

        Returns:
            (B, Q): 0 for none, else 1 + the number of the object.
        """
        rows = []
        for i, (found, shape) in enumerate(zip(objects, shapes)):
            queries = InstanceData(scores=logits[i, :, None], bboxes=corners_in_pixels(boxes[i], shape))
            wanted = InstanceData(bboxes=found.bboxes, labels=torch.zeros_like(found.labels), texts=found.labels)
            assigner = self.encoder_assigner
            if texts is not None:
                assigner, queries.texts = self.assigner, texts[i]
            rows.append(assigner.assign(queries.detach(), wanted, dict(img_shape=shape)).gt_inds)
        return torch.stack(rows)  # (B, Q)

    def divisors(self, found: torch.Tensor, objects: list[InstanceData]) -> torch.Tensor:
        """Matched real and pseudo boxes, averaged over processes, each at least 1.

        Args:
            found: see `match` (B, Q).
            objects: for each image.

        Returns:
            (2,).
        """
        unknown = sum((part.labels[row[row > 0] - 1] == self.num_training_classes).sum()
                      for part, row in zip(objects, found))
        counts = torch.stack([(found > 0).sum() - unknown, unknown]).float()
        return reduce_mean(counts).clamp(min=1)

    def matched_losses(self, logits: torch.Tensor, boxes: torch.Tensor, found: torch.Tensor,
                       objects: list[InstanceData], shapes: list[tuple[int, int]], divisors: torch.Tensor,
                       name: str) -> dict[str, torch.Tensor]:
        """Losses of one layer.

        Args:
            logits: (B, Q).
            boxes: relative (B, Q, 4).
            found: see `match` (B, Q).
            objects: for each image.
            shapes: height and width of each image.
            divisors: see `divisors`.
            name: prefix of the losses.
        """
        image, query = (found > 0).nonzero(as_tuple=True)  # (M,)
        matched = InstanceData.cat([part[row[row > 0] - 1] for part, row in zip(objects, found)])  # in the same order
        size = boxes.new_tensor([(w, h, w, h) for h, w in shapes])[image]
        predicted = boxes[image, query]
        corners = bbox_cxcywh_to_xyxy(predicted) * size
        targets, weights = torch.zeros_like(logits), torch.ones_like(logits)
        targets[image, query] = bbox_overlaps(corners.detach(), matched.bboxes, is_aligned=True)
        weights[image, query] = matched.weights.sqrt()
        real = matched.labels < self.num_training_classes
        wanted = bbox_xyxy_to_cxcywh(matched.bboxes / size)
        return {f'{name}loss_cls': self.loss_cls(logits, targets, weights, avg_factor=divisors.sum()),
                f'{name}loss_bbox': self.loss_bbox(predicted[real], wanted[real], avg_factor=divisors[0]),
                f'{name}loss_iou': self.loss_iou(corners[real], matched.bboxes[real], avg_factor=divisors[0])}

    def denoising_loss(self, logits: torch.Tensor, denoising: DenoisingQueries,
                       num_real: torch.Tensor) -> torch.Tensor:
        """Focal loss of the denoising queries of one layer.

        Args:
            logits: (B, N).
            denoising: their targets, weights and groups.
            num_real: the divisor of one group.
        """
        columns = [part.reshape(-1, 1) for part in (logits, denoising.targets, denoising.weights)]  # (B * N, 1)
        return self.loss_denoising(*columns, avg_factor=num_real * denoising.groups)

    @full_precision
    def predict(self, hidden_states: torch.Tensor, references: list[torch.Tensor], dense: torch.Tensor,
                patch_size: int, batch_data_samples: list[DetDataSample],
                rescale: bool = True) -> list[InstanceData]:
        """Detections by the last layer's boxes.

        Args:
            hidden_states: decoder layers (L, B, Q, C).
            references: L + 1 boxes (B, Q, 4).
            dense: the tower's dense map (B, D, h, w).
            patch_size: network pixels of a cell of it.
            batch_data_samples: with ``img_shape``, and to rescale ``scale_factor``.
            rescale: boxes in original pixels.

        Returns:
            For each image ``bboxes`` (N, 4), ``scores`` (N,) and ``labels`` (N,), best first.
        """
        self.embed_classes()
        logits, boxes = (part[-1] for part in self(hidden_states, references))
        metas = [sample.metainfo for sample in batch_data_samples]
        boxes = [clip_boxes_to_image(corners_in_pixels(part, meta['img_shape']), meta['img_shape'])
                 for part, meta in zip(boxes, metas)]
        scores = self.scores(logits.flatten(), pool_regions(dense, boxes, patch_size)).unflatten(0, logits.shape[:2])
        return [self._detections(*parts, rescale) for parts in zip(boxes, scores, metas)]

    @full_precision
    def scores(self, logits: torch.Tensor, regions: torch.Tensor) -> torch.Tensor:
        """Scores of all classes for K boxes.

        Args:
            logits: objectness (K,).
            regions: dense features (K, D), of any length.

        Returns:
            (K, T+1), float32; the last column belongs to the constant 0.
        """
        classes = self.fc_cls(regions)[:, :-1]  # without the wildcard
        return F.pad(classes, (0, 1)).softmax(1) * logits.sigmoid()[:, None]

    def _detections(self, boxes: torch.Tensor, scores: torch.Tensor, meta: dict, rescale: bool) -> InstanceData:
        if rescale:
            boxes = scale_boxes(boxes, [1 / factor for factor in meta['scale_factor']])
        cfg = self.test_cfg
        rows, labels = shared_box_nms(boxes, scores, cfg['score_thr'], cfg['nms'], cfg['max_per_img'])
        return InstanceData(bboxes=rows[:, :4], scores=rows[:, 4], labels=labels)


def corners_in_pixels(boxes: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
    """Relative boxes as corners in network pixels.

    Args:
        boxes: centre, width and height relative to the image (Q, 4).
        shape: height and width of the image, without padding.

    Returns:
        (Q, 4).
    """
    height, width = shape
    return bbox_cxcywh_to_xyxy(boxes) * boxes.new_tensor([width, height, width, height])
