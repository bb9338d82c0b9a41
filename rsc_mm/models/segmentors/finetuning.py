"""Which parameters of a CLIP's attention are trained, by their role and not by a part of their name."""
from collections.abc import Sequence

from torch import nn

from rsc_mm.models.backbones.blocks import projections, split_qkv
from rsc_mm.models.text.split_attention import SplitAttention

ROLES = tuple(f'{part}.{kind}' for part in 'qkvo' for kind in ('weight', 'bias'))
"""Query, key, value and output projection, weight and bias of each."""


def train_attention(blocks: Sequence[nn.Module], roles: Sequence[str], field: str) -> None:
    """Let the parameters of the given roles train in every block.

    Args:
        blocks: timm's blocks of a vision tower, or open_clip's of a text tower.
        roles: of `ROLES`; ('q.weight', 'v.weight') in CAT-Seg.
        field: how a message names the config field.

    Raises:
        ValueError: there is no such role, or the tower has no such parameter (EVA's keys have no bias).
    """
    for number, block in enumerate(blocks):
        layers = attention_layers(block.attn)
        for role in roles:
            part, _, kind = role.partition('.')
            parameter = getattr(layers.get(part), kind, None) if role in ROLES else None
            if parameter is None:
                raise ValueError(f'CATSeg field {field!r}: found {role!r}, which block {number} does not have; '
                                 f'expected of {ROLES}')
            parameter.requires_grad_(True)


def attention_layers(attn: nn.Module) -> dict[str, nn.Module]:
    """The four linear layers of an attention by their letter, a fused one being split in place.

    Args:
        attn: timm's ``Attention`` or ``EvaAttention``, or `SplitAttention`.
    """
    if isinstance(attn, SplitAttention):
        return dict(q=attn.q, k=attn.k, v=attn.v, o=attn.out_proj)
    split_qkv(attn)
    return dict(zip('qkv', projections(attn)), o=attn.proj)
