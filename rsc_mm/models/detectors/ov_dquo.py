from collections.abc import Sequence
from pathlib import Path

import torch
from mmdet.models.detectors import DINO
from mmdet.structures import DetDataSample
from torch import nn
from torchvision.ops import clip_boxes_to_image

from rsc_mm.registry import MODELS
from rsc_mm.utils.precision import full_precision
from rsc_mm.utils.regions import pool_regions

from .frozen_tower import freeze_tower
from .ov_dquo_head import corners_in_pixels
from .text_denoising import TextDenoising
from .text_queries import give_wildcards, nearest_texts
from .training_vocabulary import sample_classes, training_objects


@MODELS.register_module()
class OVDQUO(DINO):
    """Open-vocabulary DETR with wildcard supervision, on a frozen CLIP tower (OV-DQUO, Wang et al., 2024).

    A DINO whose queries carry the text of a class: that nearest to the proposal's dense feature, or in training, over a
    pseudo box of an unknown object, the wildcard 'object'. Query content is a learned embedding + projected text. The
    detector learns what is an object; of which class it is, CLIP says (`OVDQUOHead`).

    Whatever the annotation file holds, novel objects take no part in training. Pseudo boxes come from
    `UnknownObjectsCocoDataset` or its LVIS twin; without any it is a detector with text queries.

    Deviations from the public code: queries keep their order by objectness. It sorts them by class while the learned
    content keeps its order, so that the i-th content meets another proposal in every image. Proposals are taken by
    objectness alone, as the public code does; the paper's selection by regions was never released. The transformer runs
    in float32 also under autocast: mmcv's deformable attention has no bfloat16.

    Args:
        backbone: a CLIP tower with three ``out_indices``, of which the last is its last block.
        neck: `ViTPyramidMapper`.
        bbox_head: `OVDQUOHead`.
        dn_cfg: see mmdet's `DINO`, for `TextDenoising`.
        text_hidden: hidden width of the text projection.
        **kwargs: see mmdet's `DINO`.

    Raises:
        ValueError: the maps do not end with the last block.
    """

    def __init__(self, backbone: dict, neck: dict, bbox_head: dict, dn_cfg: dict, text_hidden: int = 128,
                 **kwargs: object) -> None:
        # Copies: mmdet writes into both, and then refuses to build the same config again.
        super().__init__(backbone=backbone, neck=neck, bbox_head=bbox_head.copy(), dn_cfg=dn_cfg.copy(),
                         with_box_refine=True, as_two_stage=True, **kwargs)
        tower = freeze_tower(self)
        self.text_projection = nn.Sequential(
            nn.Linear(tower.embed_dim, text_hidden), nn.ReLU(), nn.Linear(text_hidden, self.embed_dims))
        self.dn_query_generator = TextDenoising(
            num_classes=self.bbox_head.num_training_classes + 1, embed_dims=self.embed_dims,
            num_matching_queries=self.num_queries, **dn_cfg)

    def set_vocabulary(self, classes: str | Path | Sequence[str],
                       class_embeddings: torch.Tensor | str | dict | None = None) -> None:
        """Change the classes without training, see `VocabularyHead.set_vocabulary`.

        Args:
            classes: T classes in label order: list, vocabulary or file.
            class_embeddings: where their embeddings come from; None: from where the head's own came.
        """
        self.bbox_head.set_vocabulary(classes, class_embeddings)

    def loss(self, batch_inputs: torch.Tensor, batch_data_samples: list[DetDataSample]) -> dict[str, torch.Tensor]:
        """Losses of a step, see `OVDQUOHead.loss`.

        Args:
            batch_inputs: normalised images (B, 3, H, W).
            batch_data_samples: B samples with ``gt_instances``; labels below 0 are unknown objects, novel ones are left
                out.

        Returns:
            Losses by name.
        """
        head = self.bbox_head
        labels = torch.cat([sample.gt_instances.labels for sample in batch_data_samples])
        classes = sample_classes(labels, head.base_labels, head.num_sampled_classes)
        for sample in batch_data_samples:
            sample.gt_instances = training_objects(sample.gt_instances, classes, head.num_classes)
        found = self.forward_transformer(self.extract_feat(batch_inputs), batch_data_samples, classes)
        return head.loss(**found, batch_data_samples=batch_data_samples)

    def extract_feat(self, batch_inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Levels for the transformer and CLIP's dense map, in one pass of the tower.

        Args:
            batch_inputs: normalised images (B, 3, H, W).

        Returns:
            Three levels (B, C, h_l, w_l), finest first, and the dense map (B, D, h, w).
        """
        maps = self.backbone(batch_inputs)
        return (*self.neck(maps), self.backbone.project(maps[-1]))

    def forward_transformer(self, img_feats: tuple[torch.Tensor, ...], batch_data_samples: list[DetDataSample],
                            classes: torch.Tensor | None = None) -> dict:
        """From maps to what the head reads.

        Args:
            img_feats: see `extract_feat`.
            batch_data_samples: B samples.
            classes: of the training step (S,); None: test.

        Returns:
            Arguments of the head's ``loss`` or ``predict``, without the samples.
        """
        *levels, dense = img_feats
        return self._forward_transformer(dense, levels, batch_data_samples, classes)

    @full_precision
    def _forward_transformer(self, dense: torch.Tensor, levels: list[torch.Tensor],
                             batch_data_samples: list[DetDataSample], classes: torch.Tensor | None) -> dict:
        encoder_inputs, decoder_inputs = self.pre_transformer(levels, batch_data_samples)
        memory = self.forward_encoder(**encoder_inputs)
        queries, head_inputs = self.pre_decoder(**memory, batch_data_samples=batch_data_samples, dense=dense,
                                                classes=classes)
        return {**head_inputs, **self.forward_decoder(**decoder_inputs, **queries)}

    def pre_decoder(self, memory: torch.Tensor, memory_mask: torch.Tensor | None, spatial_shapes: torch.Tensor,
                    batch_data_samples: list[DetDataSample], dense: torch.Tensor,
                    classes: torch.Tensor | None) -> tuple[dict, dict]:
        """Queries: proposals, their texts, and in training the denoising queries before them.

        Args:
            memory: the encoder's tokens (B, N, C).
            memory_mask: padding (B, N); None: none.
            spatial_shapes: height and width of the levels (3, 2).
            batch_data_samples: B samples.
            dense: CLIP's dense map (B, D, h, w).
            classes: of the training step (S,); None: test.

        Returns:
            Arguments of `forward_decoder`, and of the head.
        """
        self.bbox_head.embed_classes()
        scores, coordinates = self.propose(memory, memory_mask, spatial_shapes)
        start = coordinates.detach()
        shapes = [sample.img_shape for sample in batch_data_samples]
        boxes = [clip_boxes_to_image(corners_in_pixels(part.sigmoid(), shape), shape)
                 for part, shape in zip(start, shapes)]
        regions = pool_regions(dense, boxes, self.backbone.patch_size)
        content = self.query_embedding.weight
        if classes is None:
            texts, projected = self.test_texts(regions)
            queries = dict(query=content + projected[texts].unflatten(0, start.shape[:2]),
                           reference_points=start.sigmoid(), memory=memory, dn_mask=None)
            return queries, dict(dense=dense, patch_size=self.backbone.patch_size)
        texts, projected = self.training_texts(regions, boxes, batch_data_samples, classes)
        denoising = self.dn_query_generator(batch_data_samples, projected)
        # A batch without any box leaves the label embedding out, and DDP waits for its gradient.
        content = content + 0 * self.dn_query_generator.label_embedding.weight.sum()
        queries = dict(query=torch.cat([denoising.content, content + projected[texts]], dim=1),
                       reference_points=torch.cat([denoising.boxes, start], dim=1).sigmoid(), memory=memory,
                       dn_mask=denoising.mask)
        return queries, dict(enc_outputs_class=scores, enc_outputs_coord=coordinates.sigmoid(), texts=texts,
                             denoising=denoising)

    def propose(self, memory: torch.Tensor, memory_mask: torch.Tensor | None,
                spatial_shapes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The encoder's best tokens by objectness, best first.

        Args:
            memory: (B, N, C).
            memory_mask: padding (B, N); None: none.
            spatial_shapes: height and width of the levels (3, 2).

        Returns:
            Logits (B, Q, 1), and centre, width and height before the sigmoid (B, Q, 4).

        Raises:
            ValueError: the image has fewer tokens than there are queries.
        """
        if memory.shape[1] < self.num_queries:
            raise ValueError(f"OVDQUO: found {memory.shape[1]} tokens on the levels of this image, expected at least "
                             f"{self.num_queries}, the field 'num_queries'; enlarge the image or pad it "
                             '(data_preprocessor.pad_size_divisor)')
        tokens, anchors = self.gen_encoder_output_proposals(memory, memory_mask, spatial_shapes)
        logits = self.bbox_head.cls_branches[-1](tokens)
        coordinates = self.bbox_head.reg_branches[-1](tokens) + anchors
        best = logits.topk(self.num_queries, dim=1).indices  # (B, Q, 1)
        return logits.gather(1, best), coordinates.gather(1, best.expand(-1, -1, 4))

    def training_texts(self, regions: torch.Tensor, boxes: list[torch.Tensor], samples: list[DetDataSample],
                       classes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The text of each proposal, and all texts of the step as content.

        Args:
            regions: dense features (B * Q, D).
            boxes: B proposals (Q, 4), corners in network pixels.
            samples: with ``gt_instances`` as `training_objects` makes them.
            classes: of the step (S,).

        Returns:
            (B, Q) of 0..S, S being the wildcard, and (S + 1, C).
        """
        head, wildcard = self.bbox_head, len(classes)
        embeddings = head.fc_cls.embeddings
        texts = nearest_texts(regions, embeddings[classes], head.fc_cls.fixed_temperature)
        texts = texts.unflatten(0, (len(boxes), -1))  # (B, Q)
        objects = [sample.gt_instances for sample in samples]
        texts = torch.stack([give_wildcards(row, part, found.bboxes[found.labels == wildcard], wildcard)
                             for row, part, found in zip(texts, boxes, objects)])  # (B, Q)
        return texts, self.text_projection(torch.cat([embeddings[classes], embeddings[-1:]]))

    def test_texts(self, regions: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The class of each proposal among all T, and their texts as content.

        Args:
            regions: dense features (B * Q, D).

        Returns:
            (B * Q,) of 0..T-1, and (T, C).
        """
        head = self.bbox_head
        embeddings = head.fc_cls.embeddings[:-1]
        prior = torch.where(head.is_base[:-1], 1., float(head.novel_prior))
        return (nearest_texts(regions, embeddings, head.fc_cls.fixed_temperature, prior),
                self.text_projection(embeddings))
