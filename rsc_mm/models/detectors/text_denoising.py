from dataclasses import dataclass

import torch
from mmdet.models.layers import CdnQueryGenerator
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from torch.nn import functional as F


@dataclass
class DenoisingQueries:
    """Queries that start from noisy boxes, N of them for each image, groups one after the other.

    Attributes:
        content: (B, N, C).
        boxes: centre, width and height before the sigmoid (B, N, 4).
        mask: who does not see whom among denoising and matching queries (N + Q, N + Q) bool.
        targets: (B, N), 1 for an object, 0 for none.
        weights: (B, N), the root of the box's weight for positives, 1 for negatives, 0 for padding.
        groups: number of groups.
    """

    content: torch.Tensor
    boxes: torch.Tensor
    mask: torch.Tensor
    targets: torch.Tensor
    weights: torch.Tensor
    groups: int


class TextDenoising(CdnQueryGenerator):
    r"""Denoising text queries: contrastive denoising of unknown objects (OV-DQUO).

    A pseudo box gives each group a positive query, whose corners move by less than half the box's size, and a negative
    one, whose corners move by half to the whole of it. Content is ``label_embedding[l] + text[t]``: l is the wildcard,
    with probability ``label_noise_scale / 2`` a random class; t is the wildcard for positives, l for negatives. They
    teach the objectness alone: there is no box loss.

    Without a pseudo box in the batch one annotated box, of the first image that has any, takes their place, so that the
    embedding has a gradient in every step.

    Args:
        num_classes: rows of the label embedding, S + 1 with the wildcard last.
        **kwargs: see mmdet's `CdnQueryGenerator`.
    """

    def __call__(self, batch_data_samples: list[DetDataSample], texts: torch.Tensor) -> DenoisingQueries:
        """Queries of a batch.

        Args:
            batch_data_samples: with ``img_shape``, and of ``gt_instances`` bboxes (G, 4) in network pixels, labels (G,)
                of 0..S, S being the wildcard, and weights (G,).
            texts: projected texts of the S + 1 (S + 1, C).
        """
        chosen = self.boxes_to_denoise([sample.gt_instances for sample in batch_data_samples])
        sizes = [sample.img_shape for sample in batch_data_samples]
        boxes = torch.cat([part.bboxes / part.bboxes.new_tensor([w, h, w, h])
                           for part, (h, w) in zip(chosen, sizes)])  # (sum G, 4)
        labels = torch.cat([part.labels for part in chosen])
        owner = torch.cat([torch.full_like(part.labels, i) for i, part in enumerate(chosen)])
        most = max(len(part) for part in chosen)
        groups = self.get_num_groups(most)
        content, boxes = self.collate_dn_queries(
            self.generate_dn_label_query(labels, groups, texts), self.generate_dn_bbox_query(boxes, groups), owner,
            len(chosen), groups)
        mask = self.generate_dn_mask(most, groups, device=texts.device)
        targets, weights = self.targets_of(chosen, most, groups)
        return DenoisingQueries(content, boxes, mask, targets, weights, groups)

    def boxes_to_denoise(self, objects: list[InstanceData]) -> list[InstanceData]:
        """The pseudo boxes of each image; where the batch has none, one annotated box.

        Args:
            objects: for each image, see `__call__`.
        """
        unknown = [part[part.labels == self.num_classes - 1] for part in objects]
        if any(map(len, unknown)):
            return unknown
        first = next((i for i, part in enumerate(objects) if len(part)), None)
        return [part[:1] if i == first else part[:0] for i, part in enumerate(objects)]

    def generate_dn_label_query(self, gt_labels: torch.Tensor, num_groups: int, texts: torch.Tensor) -> torch.Tensor:
        """Content of the queries: group after group, positives before negatives.

        Args:
            gt_labels: (G,).
            num_groups: P.
            texts: (S + 1, C).

        Returns:
            (2 * P * G, C).
        """
        labels = gt_labels.repeat(num_groups, 2, 1)  # (P, 2, G)
        noisy = torch.rand(labels.shape, device=labels.device) < self.label_noise_scale / 2
        labels = torch.where(noisy, torch.randint_like(labels, self.num_classes), labels)
        carried = labels.clone()
        carried[:, 0] = self.num_classes - 1
        return (self.label_embedding(labels) + texts[carried]).flatten(0, 2)  # (2PG, C)

    def targets_of(self, chosen: list[InstanceData], most: int, groups: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Targets and weights, (B, 2 * groups * most) each, in the order of the queries.

        Args:
            chosen: for each image the boxes to denoise.
            most: places of an image in half a group.
            groups: number of groups.
        """
        positive = torch.stack([F.pad(part.weights.sqrt(), (0, most - len(part))) for part in chosen])  # (B, most)
        negative = torch.stack([F.pad(torch.ones_like(part.weights), (0, most - len(part))) for part in chosen])
        targets = torch.stack([torch.ones_like(positive), torch.zeros_like(positive)], dim=1)  # (B, 2, most)
        weights = torch.stack([positive, negative], dim=1)
        return tuple(part.repeat(1, groups, 1).flatten(1) for part in (targets, weights))  # (B, 2 * groups * most)
