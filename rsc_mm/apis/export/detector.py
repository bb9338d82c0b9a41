"""F-ViT as a graph: pixels and a vocabulary to boxes, with both suppressions inside."""
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F
from torchvision.ops import box_iou, nms, roi_align

from rsc_mm.utils.regions import pool_numbered_regions

from .graphs import Graph
from .ports import Port

CANDIDATES = 10_000
"""Pairs of a box and a class, best first, that the last suppression looks at."""


class DetectorGraph(Graph):
    """One image and a vocabulary to the best boxes: `FViT.predict` with the embeddings as an input.

    The number of boxes is fixed, ``max_per_img`` of the configuration: where fewer are found, the rest has score 0 and
    label -1. Masks are left out. Of equal scores another one may come first.

    Args:
        detector: `FViT` with its weights, on the CPU.

    Raises:
        ValueError: it suppresses by another function than plain NMS.
    """

    inputs = (
        Port('images', (1, 3, 'height', 'width'),
             'one RGB image in 0..255, resized by the caller, not normalised; padded inside'),
        Port('text_embeddings', ('classes', 'embedding'),
             'the vocabulary: unit embeddings of any number of classes and, as the last row, of the background'),
        Port('is_base', ('classes', ), 'true for classes that training annotated and for the background', torch.bool))
    outputs = (
        Port('boxes', ('detections', 4), 'x1, y1, x2, y2 in pixels of the image, the best first'),
        Port('scores', ('detections', ), 'fused scores in 0..1; 0 where there is no detection'),
        Port('labels', ('detections', ), 'rows of text_embeddings; -1 where there is no detection', torch.int64))

    least = {'classes': 3}
    tolerance = 1e-3  # rounding of 1e-6 is multiplied by the temperature and, of small scores, by the geometric mean
    size_oblivious = True  # anchors of levels of one row or column would be a case of their own

    def __init__(self, detector: nn.Module) -> None:
        super().__init__()
        self.detector: Any = detector
        self.rpn, self.rcnn = detector.test_cfg.rpn, detector.test_cfg.rcnn
        for name, config in (('rpn', self.rpn), ('rcnn', self.rcnn)):
            if config.nms.get('type', 'nms') != 'nms':
                raise ValueError(f"export: found test_cfg.{name}.nms.type={config.nms.type!r}, expected 'nms'")
        self.head = _FusedScores(detector.roi_head.bbox_head)
        preprocessor: Any = detector.data_preprocessor
        self.divisor = int(preprocessor.pad_size_divisor)
        self.register_buffer('mean', preprocessor.mean)
        self.register_buffer('std', preprocessor.std)
        self.unit = int(max(stride[0] for stride in detector.rpn_head.prior_generator.strides))
        if self.divisor % self.unit:  # the levels above would have odd sides at some sizes only
            raise ValueError(f'export: found data_preprocessor.pad_size_divisor={self.divisor}, expected a multiple of '
                             f'{self.unit}, the coarsest stride of the pyramid: give --cfg-options '
                             f'model.data_preprocessor.pad_size_divisor={self.unit}')
        self.name = f'F-ViT on {type(detector.backbone).__name__}'

    def forward(self, images: torch.Tensor, text_embeddings: torch.Tensor,
                is_base: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Boxes (N, 4), scores (N,) and labels (N,), N the configuration's ``max_per_img``.

        Args:
            images: (1, 3, H, W) RGB in 0..255.
            text_embeddings: (T+1, D), unit rows, the background last.
            is_base: (T+1,).
        """
        maps = self.detector.backbone(self._prepare(images))
        levels = self.detector.neck(maps)
        shape = images.shape[2:]
        boxes, valid = self._proposals(levels, shape)
        rois = F.pad(boxes, (1, 0))  # (K, 5): image 0 in front
        dense = self.detector.backbone.project(maps[-1])
        regions = pool_numbered_regions(dense, rois, self.detector.backbone.patch_size)
        vocabulary = {'head.fc_cls.embeddings': text_embeddings, 'head.is_base': is_base}
        scores, deltas = functional_call(self.head, vocabulary, (self._extract(levels, rois), regions))
        boxes = self.head.head.bbox_coder.decode(boxes, deltas, max_shape=shape)
        return self._detections(boxes, scores[:, :-1] * valid[:, None])

    def _prepare(self, images: torch.Tensor) -> torch.Tensor:
        """Normalised, then padded with 0 as mmdet does."""
        height, width = ((side + self.divisor - 1) // self.divisor * self.divisor for side in images.shape[2:])
        images = (images - self.mean) / self.std
        return F.pad(images, (0, width - images.shape[3], 0, height - images.shape[2]))

    def _proposals(self, levels: tuple[torch.Tensor, ...], shape: torch.Size) -> tuple[torch.Tensor, torch.Tensor]:
        """Boxes (K, 4), and which of them are there (K,)."""
        rpn, parts = self.detector.rpn_head, []
        for number, (score, delta) in enumerate(zip(*rpn(levels))):
            score = score[0].permute(1, 2, 0).flatten().sigmoid()  # (h*w*A,)
            delta = delta[0].permute(1, 2, 0).reshape(-1, 4)  # (h*w*A, 4)
            anchors = rpn.prior_generator.single_level_grid_priors(levels[number].shape[2:], number, device='cpu')
            score, order = best(score, self.rpn.nms_pre)
            boxes = rpn.bbox_coder.decode(anchors[order], delta[order], max_shape=shape)
            parts.append((boxes, score, torch.full_like(order, number)))
        boxes, scores, numbers = (torch.cat(part) for part in zip(*parts))
        sides = boxes[:, 2:] - boxes[:, :2]
        scores = torch.where((sides > self.rpn.get('min_bbox_size', -1)).all(1), scores, -1.)  # to the end
        kept, there = suppress(boxes, scores, numbers, self.rpn.nms.iou_threshold, self.rpn.max_per_img)
        return boxes[kept], there & (scores[kept] >= 0)

    def _extract(self, levels: tuple[torch.Tensor, ...], rois: torch.Tensor) -> torch.Tensor:
        """RoIAlign of every box on the level of its size (K, C, size, size)."""
        extractor = self.detector.roi_head.bbox_roi_extractor
        chosen = extractor.map_roi_levels(rois, extractor.num_inputs)
        features = []
        for number, (layer, level) in enumerate(zip(extractor.roi_layers, levels)):
            # A box of another level has no extent here, and therefore no samples: its feature is 0.
            here = torch.where((chosen == number)[:, None], rois, torch.zeros_like(rois))
            features.append(roi_align(level, here, layer.output_size, layer.spatial_scale, layer.sampling_ratio,
                                      layer.aligned) * (chosen == number)[:, None, None, None])
        return sum(features)

    def _detections(self, boxes: torch.Tensor,
                    scores: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The best pairs of a box and a class after class-wise suppression."""
        # Tables in the place of // and %, which torch does not convert for a number that is open.
        box, label = (torch.arange(side) for side in scores.shape)
        box, label = box[:, None].expand_as(scores).flatten(), label.expand_as(scores).flatten()  # (K*T,)
        flat, pairs = best(torch.where(scores > self.rcnn.score_thr, scores, 0.).flatten(), CANDIDATES)
        owners, labels = boxes[box[pairs]], label[pairs]
        kept, there = suppress(owners, flat, labels, self.rcnn.nms.iou_threshold, self.rcnn.max_per_img)
        found = there & (flat[kept] > 0)
        return owners[kept] * found[:, None], flat[kept] * found, torch.where(found, labels[kept], -1)

    def example(self, batch: int, height: int, width: int) -> tuple[torch.Tensor, ...]:
        """One image of noise and the detector's own vocabulary.

        Args:
            batch: not used: a file takes one image.
            height: in pixels.
            width: in pixels.
        """
        head = self.head.head
        head.embed_classes()
        return (*super().example(1, height, width), head.fc_cls.embeddings.clone(), head.is_base.clone())

    def difference(self, found: Sequence[torch.Tensor], expected: Sequence[torch.Tensor]) -> float:
        """The largest difference of the scores, and of the boxes in longer sides, of the detections that both have.

        Scores that differ by rounding may stand in another order or fall on the other side of a cut before the
        suppression, which gives another box: one in ten may be missing, more is infinitely far.

        Args:
            found: boxes, scores and labels of the file.
            expected: the detector's own.
        """
        found, expected = (tuple(part[values[2] >= 0] for part in values) for values in (found, expected))
        rows, partners = same_detections(expected, found)
        if 10 * len(rows) < 9 * max(len(expected[0]), len(found[0])):
            return float('inf')
        if not len(rows):
            return 0.
        boxes = expected[0][rows]
        sides = (boxes[:, 2:] - boxes[:, :2]).max(dim=1, keepdim=True).values  # (M, 1)
        apart = (boxes - found[0][partners]).abs() / sides  # (M, 4)
        return torch.cat([apart.flatten(), (expected[1][rows] - found[1][partners]).abs()]).max().item()

    def facts(self) -> dict[str, Any]:
        """What else a user of the file wants to know: the names whose embeddings belong to the detector, thresholds."""
        head = self.head.head
        return dict(detector=self.name, readout=self.detector.backbone.readout_config, classes=list(head.classes),
                    alpha=head.alpha, beta=head.beta, score_threshold=self.rcnn.score_thr,
                    detections=self.rcnn.max_per_img, padded_to_multiples_of=self.divisor)


class _FusedScores(nn.Module):
    """The box head and its score fusion as one call, in which the vocabulary is replaced."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head: Any = head

    def forward(self, features: torch.Tensor, regions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logits, deltas = self.head(features)
        return self.head.scores(logits, regions), deltas


def best(scores: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The largest scores, always as many: a number of rows that depends on the input would tie the file to it.

    Args:
        scores: (K,), none below 0.
        count: N.

    Returns:
        Scores (N,), the largest first, and their rows (N,); where K < N the rest has score -1 and the last row.
    """
    values, rows = F.pad(scores, (0, count), value=-1.).topk(count)
    return values, rows.clamp(max=scores.shape[0] - 1)


def same_detections(expected: Sequence[torch.Tensor],
                    found: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Pairs of the same class with an IoU above 0.99, in any order.

    Args:
        expected: boxes (N, 4), scores (N,) and labels (N,).
        found: boxes (M, 4), scores (M,) and labels (M,).

    Returns:
        Rows of ``expected`` and of ``found``, of one length.
    """
    if not len(expected[0]) or not len(found[0]):
        return expected[2].new_zeros(0), expected[2].new_zeros(0)
    overlap = box_iou(expected[0], found[0]) * (expected[2][:, None] == found[2])  # (N, M)
    best, partners = overlap.max(dim=1)
    rows = (best > 0.99).nonzero()[:, 0]
    return rows, partners[rows]


def suppress(boxes: torch.Tensor, scores: torch.Tensor, groups: torch.Tensor, threshold: float,
             count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Greedy NMS within groups, the best ``count`` of it, always as many rows.

    Args:
        boxes: (K, 4), no coordinate below 0.
        scores: (K,).
        groups: (K,) whole numbers; boxes of different groups do not suppress each other.
        threshold: IoU above which the worse box is left out.
        count: N.

    Returns:
        Rows (N,), the best first, and which of them are there (N,): the others repeat row 0.
    """
    apart = boxes + (groups.to(boxes) * (boxes.max() + 1))[:, None]
    kept = nms(apart, scores, threshold)
    rows = torch.cat([kept, kept.new_zeros(count)])[:count]
    return rows, torch.arange(count) < kept.shape[0]
