import torch
from torch import nn
from torch.nn import functional as F

from rsc_mm.models.backbones.blocks import (
    attention_output,
    feed_forward_parts,
    merge_heads,
    projections,
    split_heads,
)
from rsc_mm.registry import READOUTS
from rsc_mm.utils.precision import full_precision

from .base import DenseTokens, Readout


class SelfAttentionReadout(Readout):
    r"""The last block's attention with like attending to like; base class (DeCLIP, sec. 3.2).

    With :math:`p \in \{q, k, v\}` the projections of :math:`\mathrm{LN}_1 x` that a subclass names,

    .. math:: \text{content} = \mathrm{proj}\big(\mathrm{LN}(A\,v)\big), \quad A_p = \mathrm{softmax}(s\,p\,p^T)

    No residual and no MLP; the prefix tokens attend and are attended to, and are left out of the result. No rotary
    positions: they would make a token attend to its place, not to its like. The context is the projections themselves,
    heads concatenated, so that its cosines are the means of those of each projection.

    The public code scales by nothing when it trains EVA-CLIP and in CAT-Seg, by :math:`1/\sqrt{c}` for OpenAI's CLIP
    and in its segmentation branch; therefore ``scaled`` is a field, and is saved with the weights.

    Args:
        vit: timm's network.
        scaled: whether s is :math:`1/\sqrt{c}`, c the size of a head, or 1.

    Attributes:
        names: the projections p that make attention and context.
    """

    fields = ('scaled', )
    names: str = ''

    def __init__(self, vit: nn.Module, scaled: bool = False) -> None:
        super().__init__(vit)
        self.scaled = scaled

    def unused(self, blocks: nn.ModuleList) -> list[nn.Module | nn.Parameter]:
        """The projections that the attention does not read, and the MLP.

        Args:
            blocks: the last block.
        """
        attn = blocks[-1].attn
        to_q, to_k, _ = projections(attn)
        parts = {'q': [to_q, attn.q_norm], 'k': [to_k, attn.k_norm]}
        unread = [part for name, group in parts.items() if name not in self.names for part in group]
        return unread + feed_forward_parts(blocks[-1])

    def forward(self, blocks: nn.ModuleList, inputs: tuple[torch.Tensor, ...],
                rope: torch.Tensor | None) -> DenseTokens:
        """Content and context.

        Args:
            blocks: the last block.
            inputs: its tokens (B, P+N, C).
            rope: not used.

        Returns:
            Content (B, N, C) and context (B, N, C), or (B, N, 2C) or (B, N, 3C) with more than one projection.
        """
        attn, x = blocks[-1].attn, blocks[-1].norm1(inputs[-1])
        layers, norms = dict(zip('qkv', projections(attn))), dict(q=attn.q_norm, k=attn.k_norm, v=nn.Identity())
        value = split_heads(layers['v'](x), attn.num_heads)  # (B, heads, P+N, c)
        heads = {name: norms[name](split_heads(layers[name](x), attn.num_heads)) for name in self.names if name != 'v'}
        chosen = [heads.get(name, value).type_as(value) for name in self.names]
        scale = value.shape[-1] ** -0.5 if self.scaled else 1.
        content = attention_output(blocks[-1], x, merge_heads(self.attend(chosen, value, scale)))
        return DenseTokens(self.patches(content), joint_context([self.patches(merge_heads(p)) for p in chosen]))

    def attend(self, chosen: list[torch.Tensor], value: torch.Tensor, scale: float) -> torch.Tensor:
        """The attended values: the sum over the projections of :math:`A_p v`.

        Args:
            chosen: the projections (B, heads, P+N, c).
            value: (B, heads, P+N, c).
            scale: s.

        Returns:
            (B, heads, P+N, c).
        """
        return sum(F.scaled_dot_product_attention(p, p, value, scale=scale) for p in chosen)


@full_precision
def joint_context(projected: list[torch.Tensor]) -> torch.Tensor:
    """One tensor whose cosines are the means of those of each projection, in float32 where they are several.

    Args:
        projected: one or more of (B, N, C).

    Returns:
        (B, N, C), or (B, N, 2C) and more.
    """
    if len(projected) == 1:
        return projected[0]
    return torch.cat([F.normalize(p, dim=2) for p in projected], dim=2)  # (B, N, 2C | 3C)


@READOUTS.register_module('qq')
class QQReadout(SelfAttentionReadout):
    r"""Queries attend to queries: :math:`A = \mathrm{softmax}(s\,q q^T)` (DeCLIP's Q)."""

    names = 'q'


@READOUTS.register_module('kk')
class KKReadout(SelfAttentionReadout):
    r"""Keys attend to keys: :math:`A = \mathrm{softmax}(s\,k k^T)`."""

    names = 'k'


@READOUTS.register_module('vv')
class VVReadout(SelfAttentionReadout):
    r"""Values attend to values: :math:`A = \mathrm{softmax}(s\,v v^T)` (CLIP Surgery)."""

    names = 'v'


@READOUTS.register_module('csa')
class CSAReadout(SelfAttentionReadout):
    r"""Correlative self-attention (SCLIP; DeCLIP's Q+K), not halved.

    .. math:: A = \mathrm{softmax}(s\,q q^T) + \mathrm{softmax}(s\,k k^T)
    """

    names = 'qk'


@READOUTS.register_module('all')
class AllReadout(SelfAttentionReadout):
    r"""One softmax of the mean of the three logits: :math:`A = \mathrm{softmax}(s\,(q q^T + k k^T + v v^T) / 3)`."""

    names = 'qkv'

    def attend(self, chosen: list[torch.Tensor], value: torch.Tensor, scale: float) -> torch.Tensor:
        """The attended values, by one attention over concatenated projections: their dot products add up.

        Args:
            chosen: the three projections (B, heads, P+N, c).
            value: (B, heads, P+N, c).
            scale: s.

        Returns:
            (B, heads, P+N, c).
        """
        joint = torch.cat(chosen, dim=3)  # (B, heads, P+N, 3c)
        return F.scaled_dot_product_attention(joint, joint, value, scale=scale / len(chosen))
