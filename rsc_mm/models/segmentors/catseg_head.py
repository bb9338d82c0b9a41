from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from torch import nn
from torch.nn import functional as F

from rsc_mm.models.heads import best_of_queries
from rsc_mm.models.text.prompts import prompt_templates
from rsc_mm.registry import MODELS

from .cost_aggregator import CostAggregator
from .views import probabilities_at


@MODELS.register_module()
class CATSegHead(BaseModule):
    """What CAT-Seg puts on a CLIP vision tower: text features, cost aggregation and loss (Cho et al., CVPR 2024).

    Args:
        vocabulary: config of a `VocabularyEncoder`.
        aggregator: arguments of `CostAggregator`.
        in_channels: width C of the vision tower.
        loss: config of the loss, `PixelBCELoss`.
        ignore_index: label of pixels without a class.
        init_cfg: see MMEngine's ``BaseModule``.

    Raises:
        ValueError: the aggregator takes another number of prompts than the vocabulary has, or a class of training has
            several texts.
    """

    align_corners = False

    def __init__(self, vocabulary: dict, aggregator: dict, in_channels: int, loss: dict, ignore_index: int = 255,
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.vocabulary = MODELS.build(vocabulary)
        several = [texts for texts in self.vocabulary.train_queries[1] if len(texts) > 1]
        if several:
            raise ValueError(f"CATSegHead field 'vocabulary.classes': found the class of several texts {several[0]}, "
                             "expected one in training; several are for 'vocabulary.test_classes'")
        self.aggregator = CostAggregator(**aggregator)
        prompts, channels = len(prompt_templates(self.vocabulary.prompts)), self.aggregator.cost_embedding.in_channels
        if channels != prompts:
            raise ValueError(f"CATSegHead field 'aggregator.prompt_channel': found {channels}, expected {prompts}, the "
                             "number of templates in 'vocabulary.prompts'")
        self.upsamplers = nn.ModuleList(
            nn.ConvTranspose2d(in_channels, projection.in_channels, kernel_size=factor, stride=factor)
            for factor, projection in zip((2, 4), self.aggregator.decoder_projections))
        self.loss_decode = MODELS.build(loss)
        self.ignore_index = ignore_index

    @property
    def num_classes(self) -> int:
        """Number T of classes, which the vocabulary decides."""
        return len(self.vocabulary.classes)

    @property
    def out_channels(self) -> int:
        """Channels of the logits, T."""
        return self.num_classes

    def forward(self, features: Sequence[torch.Tensor], pooling_size: Sequence[int] | None = None,
                chunk_size: int | None = None) -> torch.Tensor:
        """Logits of all queries.

        Args:
            features: the dense map (B, D, h, w), not normalised, and the maps of an earlier and a later block
                (B, C, h, w).
            pooling_size: see `CostAggregator`.
            chunk_size: likewise.

        Returns:
            (B, Q, 4h, 4w).
        """
        dense, *earlier = features
        text = self.vocabulary().expand(len(dense), -1, -1, -1)  # (B, Q, P, D)
        finer = [upsample(x) for upsample, x in zip(self.upsamplers, earlier)]
        return self.aggregator(dense, text, [dense, *finer], pooling_size, chunk_size)

    def loss(self, features: Sequence[torch.Tensor], data_samples: list, train_cfg: dict | None) -> dict:
        """The loss at the pixels of the labels.

        Args:
            features: see `forward`.
            data_samples: mmseg's samples with ``gt_sem_seg``.
            train_cfg: not used.

        Returns:
            The loss by name.
        """
        labels = torch.cat([sample.gt_sem_seg.data for sample in data_samples])  # (B, H, W)
        logits = F.interpolate(self(features), labels.shape[1:], mode='bilinear', align_corners=False)
        return dict(loss_sem_seg=self.loss_decode(logits, labels, self.ignore_index))

    def predict(self, features: Sequence[torch.Tensor], batch_img_metas: list[dict], test_cfg: dict) -> torch.Tensor:
        """Probabilities at the pixels of the network's input, for mmseg's own inference.

        Args:
            features: see `forward`.
            batch_img_metas: mmseg's, of which the first's ``img_shape`` is the size of the inputs.
            test_cfg: ``pooling_size`` and ``chunk_size``.

        Returns:
            (B, T, H, W).
        """
        logits = self(features, **forward_options(test_cfg))
        return best_of_queries(probabilities_at(logits, batch_img_metas[0]['img_shape'][:2]), self.vocabulary.counts)


def forward_options(test_cfg: dict | None) -> dict:
    """The arguments of `CATSegHead.forward` at test: no pooling unless told.

    Args:
        test_cfg: mmseg's.
    """
    test_cfg = test_cfg or {}
    return dict(pooling_size=test_cfg.get('pooling_size', (1, 1)), chunk_size=test_cfg.get('chunk_size'))
