"""The parts of timm's transformer blocks that readouts and towers reach into.

Every pre-norm block of timm's ``VisionTransformer`` and ``Eva`` is covered, with what it may have beside the plain
parts: q/k norm, a norm or a gate on the attention's output, LayerScale, rotary positions. Tokens are (B, P+N, C),
the P prefix tokens (class token, registers) first.
"""
import torch
from timm.layers import apply_rot_embed_cat
from torch import nn
from torch.nn import functional as F

from .attention import choose_kernel
from .pooling import PoolBlock


class SplitQKV(nn.Module):
    """The fused ``qkv`` projection of a timm ``Attention`` as three layers, so that each can be frozen or skipped.

    Args:
        qkv: the fused layer, C -> 3C, in the order query, key, value.
    """

    def __init__(self, qkv: nn.Linear) -> None:
        super().__init__()
        biases = (None, ) * 3 if qkv.bias is None else qkv.bias.chunk(3)
        for name, weight, bias in zip('qkv', qkv.weight.chunk(3), biases):
            layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device=weight.device)
            if not weight.is_meta:
                pair = {'weight': weight, 'bias': bias}
                layer.load_state_dict({key: value.detach() for key, value in pair.items() if value is not None})
            setattr(self, name, layer)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Concatenated query, key and value.

        Args:
            x: tokens (B, N, C).

        Returns:
            (B, N, 3C).
        """
        return torch.cat([self.q(x), self.k(x), self.v(x)], dim=-1)


def split_qkv(attn: nn.Module) -> None:
    """Hold the fused projection of a timm ``Attention`` as a `SplitQKV`, in place; of the last block, for its readout.

    A zero gradient would not keep unused queries and keys as they are: weight decay would still shrink them.

    Args:
        attn: timm's attention.

    Raises:
        ValueError: it is one of timm's ``Eva`` with a fused projection.
    """
    if not isinstance(attn.qkv, nn.Linear):
        return
    if hasattr(attn, 'v_proj'):
        raise ValueError("backbone field 'arch': found a fused query-key-value projection, expected timm's Eva to be "
                         'built with qkv_fused=False')
    attn.qkv = SplitQKV(attn.qkv)


def projections(attn: nn.Module) -> tuple[nn.Module, nn.Module, nn.Module]:
    """The query, key and value layers of an attention that holds them apart.

    Args:
        attn: timm's ``EvaAttention`` or ``AttentionRope`` built with ``qkv_fused=False``, or ``Attention`` whose
            ``qkv`` is a `SplitQKV`.

    Returns:
        Three layers C -> C.
    """
    if isinstance(attn.qkv, SplitQKV):
        return attn.qkv.q, attn.qkv.k, attn.qkv.v
    return attn.q_proj, attn.k_proj, attn.v_proj


def values(attn: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """The values of an attention, fused or not.

    Args:
        attn: timm's attention of any block.
        x: tokens after the block's first norm (B, N, C).

    Returns:
        (B, N, C).
    """
    return _projected(attn, x, 2)


def queries(attn: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """The queries of an attention, fused or not, before any norm of their own; arguments as `values`."""
    return _projected(attn, x, 0)


def _projected(attn: nn.Module, x: torch.Tensor, index: int) -> torch.Tensor:
    if not isinstance(attn.qkv, nn.Linear):
        return projections(attn)[index](x)
    bias = None if attn.qkv.bias is None else attn.qkv.bias.chunk(3)[index]
    return F.linear(x, attn.qkv.weight.chunk(3)[index], bias)


def split_heads(x: torch.Tensor, num_heads: int) -> torch.Tensor:
    """(B, N, C) -> (B, heads, N, C / heads).

    Args:
        x: tokens (B, N, C).
        num_heads: number of heads, a divisor of C.
    """
    return x.unflatten(-1, (num_heads, -1)).transpose(1, 2)  # (B, heads, N, C / heads)


def merge_heads(x: torch.Tensor) -> torch.Tensor:
    """(B, heads, N, C / heads) -> (B, N, C).

    Args:
        x: tokens of every head.
    """
    return x.transpose(1, 2).flatten(2)  # (B, N, C)


def attention_output(block: nn.Module, x: torch.Tensor, attended: torch.Tensor) -> torch.Tensor:
    """What the attention branch of a block makes of attended values: norm, gate, projection and LayerScale.

    Args:
        block: timm's block.
        x: tokens after its first norm (B, N, C), which the gate reads.
        attended: values after any attention, heads merged (B, N, C).

    Returns:
        (B, N, C), without the residual.
    """
    attended = block.attn.norm(attended)
    if block.attn.gate is not None:
        attended = attended * block.attn.gate(x).sigmoid()
    return _layer_scale(block, 1, block.attn.proj(attended))


def add_attention(block: nn.Module, x: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
    """The residual of a block's attention; a pooling has none.

    Args:
        block: timm's block, or `PoolBlock`.
        x: tokens before the block (B, N, C).
        output: `attention_output` (B, N, C).

    Returns:
        (B, N, C).
    """
    return output if isinstance(block, PoolBlock) else x + output


def feed_forward(block: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """The second half of a block: norm, MLP and LayerScale, with the residual; that of a pooling is the dense head's.

    Args:
        block: timm's block, or `PoolBlock`.
        x: tokens (B, N, C).

    Returns:
        (B, N, C).
    """
    if isinstance(block, PoolBlock):
        return x
    return x + _layer_scale(block, 2, block.mlp(block.norm2(x)))


def feed_forward_parts(block: nn.Module) -> list[nn.Module | nn.Parameter]:
    """The parameters of `feed_forward`, for a readout that leaves it out.

    Args:
        block: timm's block.
    """
    if isinstance(block, PoolBlock):
        return []
    scale = getattr(block, 'ls2', None) or getattr(block, 'gamma_2', None)
    return [block.norm2, block.mlp, *([] if scale is None else [scale])]


def run_block(block: nn.Module, tokens: torch.Tensor, rope: torch.Tensor | None) -> torch.Tensor:
    """One unchanged transformer block.

    Args:
        block: timm's ``EvaBlock`` or ``Block``.
        tokens: (B, P+N, C).
        rope: rotary embedding (N, 2*head_dim) of the patch tokens; None for a ViT without.

    Returns:
        (B, P+N, C).
    """
    choose_kernel(block.attn, tokens)
    return block(tokens) if rope is None else block(tokens, rope=rope)


def class_token(block: nn.Module, tokens: torch.Tensor, rope: torch.Tensor | None) -> torch.Tensor:
    """The class token after the block: its row of the attention alone, instead of all P+N rows.

    Args:
        block: timm's block, whose attention holds query, key and value apart.
        tokens: (B, P+N, C), the class token first.
        rope: rotary embedding (N, 2*head_dim) of the patch tokens; the prefix is not rotated.

    Returns:
        (B, C).
    """
    attn, x = block.attn, block.norm1(tokens)
    to_q, to_k, to_v = projections(attn)
    q, k, v = (split_heads(y, attn.num_heads) for y in (to_q(x[:, :1]), to_k(x), to_v(x)))  # (B, heads, 1 | P+N, c)
    q, k = attn.q_norm(q), attn.k_norm(k)
    if rope is not None:
        prefix = attn.num_prefix_tokens
        turned = apply_rot_embed_cat(k[:, :, prefix:], rope, half=getattr(attn, 'rotate_half', False))
        k = torch.cat([k[:, :, :prefix], turned], dim=2).type_as(v)
    y = merge_heads(F.scaled_dot_product_attention(q.type_as(v), k.type_as(v), v))  # (B, 1, C)
    y = tokens[:, :1] + attention_output(block, x[:, :1], y)
    return feed_forward(block, y)[:, 0]


def _layer_scale(block: nn.Module, number: int, x: torch.Tensor) -> torch.Tensor:
    """LayerScale of the first or second half of a block: a module in timm's ViT, a parameter in its Eva, or none."""
    if (module := getattr(block, f'ls{number}', None)) is not None:
        return module(x)
    gamma = getattr(block, f'gamma_{number}', None)
    return x if gamma is None else gamma * x
