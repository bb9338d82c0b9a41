import math

import torch
from mmdet.models.dense_heads import Mask2FormerHead
from mmengine.config import ConfigDict
from torch import nn
from torch.nn import functional as F

from rsc_mm.models.heads import best_of_queries, text_cosines
from rsc_mm.registry import MODELS
from rsc_mm.utils.regions import pool_masks

MOST_SCALE = 100.
"""The learned temperature never exceeds it (CLIP, sec. 2.5)."""


@MODELS.register_module()
class TextMask2FormerHead(Mask2FormerHead):
    r"""Mask2Former's head with text in the place of class weights (FC-CLIP, Yu et al., NeurIPS 2023, sec. 3.2).

    .. math:: x = \mathrm{MLP}\Big(\mathrm{LN}(d) + W\,\mathrm{LN}\big(\textstyle\sum_p m_p f_p / \sum_p m_p\big)\Big),
              \quad z_c = \tau \max_{q \in Q_c} \cos(x, E_q), \quad z_\varnothing = \tau \cos(x, e_\varnothing)

    for a query's decoder output d, its own mask m (where its logit is positive, without gradient), the mask features f,
    the texts :math:`Q_c` of class c ('dog; puppy' has two, in training too) and a learned :math:`e_\varnothing`. The
    texts are frozen. In training mode the classes are those of training, else those of test.

    Args:
        vocabulary: `VocabularyEncoder` with the classes of training, things first.
        num_things_classes: how many of those are things.
        test_num_things: how many of the classes of test are things; None: as in training.
        void_weight: weight of no object in the classes' loss.
        loss_cls: cross-entropy without ``class_weight``, which is made here.
        **kwargs: see mmdet's `Mask2FormerHead`.

    Raises:
        ValueError: there are fewer classes than things.
    """

    def __init__(self, vocabulary: dict, num_things_classes: int, test_num_things: int | None = None,
                 void_weight: float = 0.1,
                 loss_cls: dict = dict(type='rsc_mm.SharedCrossEntropyLoss', loss_weight=2.0),
                 **kwargs: object) -> None:
        encoder = MODELS.build(vocabulary)
        number = len(encoder.train().classes)
        if not 0 <= num_things_classes <= number:
            raise ValueError(f"TextMask2FormerHead field 'num_things_classes': found {num_things_classes}, expected at "
                             f"most {number}, the classes of 'vocabulary.classes'")
        loss_cls = dict(loss_cls, class_weight=[1.] * number + [void_weight])
        # mmdet reads some of these as attributes.
        fields = {key: _attributes(value) for key, value in dict(kwargs, loss_cls=loss_cls).items()}
        super().__init__(num_things_classes=num_things_classes, num_stuff_classes=number - num_things_classes, **fields)
        self.vocabulary = encoder.requires_grad_(False)
        self.test_num_things = num_things_classes if test_num_things is None else test_num_things
        del self.cls_embed  # fixed to the classes of training
        width, masks = self.query_feat.embedding_dim, kwargs['out_channels']
        dim = encoder.tower.text_projection.shape[-1]
        self.pool = nn.Sequential(nn.LayerNorm(masks), nn.Linear(masks, width))
        self.text_embed = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(),
                                        nn.Linear(width, dim))
        self.void = nn.Parameter(torch.randn(dim) / math.sqrt(dim))
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    @property
    def classes(self) -> tuple[str, ...]:
        """The T classes: in training mode those of training, else those of test."""
        return self.vocabulary.classes

    @property
    def num_things(self) -> int:
        """How many of them, the first, are things."""
        return self.num_things_classes if self.training else self.test_num_things

    def init_weights(self) -> None:
        """Random weights of the layers, and the text tower's."""
        super().init_weights()
        self.vocabulary.init_weights()

    @property
    def texts(self) -> torch.Tensor:
        """Embeddings of the classes' texts (Q, D), the mean over prompts, of any length."""
        return self.vocabulary().mean(dim=1)

    def class_cosines(self, x: torch.Tensor) -> torch.Tensor:
        """Cosines with the classes, of the best text of each.

        Args:
            x: features in the image-text space (B, N, D), of any length.

        Returns:
            (B, N, T), float32.
        """
        return _best_cosines(x, self.texts, self.vocabulary.counts)

    def class_logits(self, decoder_out: torch.Tensor, masks: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        """Logits of the queries.

        Args:
            decoder_out: after the decoder's norm (B, N, C).
            masks: mask logits (B, N, h, w).
            features: mask features (B, C', h, w).

        Returns:
            (B, N, T+1), no object last.
        """
        pooled = pool_masks(features, list(masks.detach() > 0))  # (B * N, C')
        x = self.text_embed(decoder_out + self.pool(pooled.to(features)).view_as(decoder_out))  # (B, N, D)
        scale = self.log_scale.exp().clamp(max=MOST_SCALE)
        return scale * _best_cosines(x, torch.cat([self.texts, self.void[None]]), [*self.vocabulary.counts, 1])

    def _forward_head(self, decoder_out: torch.Tensor, mask_feature: torch.Tensor,
                      attn_mask_target_size: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Mmdet's, with the logits of `class_logits`."""
        decoder_out = self.transformer_decoder.post_norm(decoder_out)
        masks = torch.einsum('bnc,bchw->bnhw', self.mask_embed(decoder_out), mask_feature)
        hidden = F.interpolate(masks.detach(), attn_mask_target_size, mode='bilinear', align_corners=False) < 0
        hidden = hidden.flatten(2).repeat_interleave(self.num_heads, dim=0)  # (B * heads, N, h * w)
        return self.class_logits(decoder_out, masks, mask_feature), masks, hidden


def _best_cosines(x: torch.Tensor, texts: torch.Tensor, counts: list[int]) -> torch.Tensor:
    cosines = text_cosines(x.transpose(1, 2)[..., None], texts)  # (B, Q, N, 1)
    return best_of_queries(cosines, counts)[..., 0].transpose(1, 2)  # (B, N, T)


def _attributes(value: object) -> object:
    return ConfigDict(value) if isinstance(value, dict) else value
