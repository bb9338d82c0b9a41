"""Dense readouts: what the last block of a CLIP ViT computes for its patch tokens.

CLIP trains only the class token's row of the last attention. A readout is the rule by which the patch tokens pass that
block. It belongs to the backbone: it is trained, saved and needed downstream.

Tokens are (B, 1+N, C) with the class token first; a readout returns the patch tokens (B, N, C).
"""
import torch
from torch import nn
from torch.nn import functional as F


class SplitQKV(nn.Module):
    """The fused ``qkv`` projection of a timm ``Attention`` as three layers, so that each can be frozen or skipped.

    Args:
        qkv: the fused layer, C -> 3C, in the order query, key, value.
    """

    def __init__(self, qkv: nn.Linear) -> None:
        super().__init__()
        for name, weight, bias in zip('qkv', qkv.weight.chunk(3), qkv.bias.chunk(3)):
            layer = nn.Linear(weight.shape[1], weight.shape[0], device=weight.device)
            if not weight.is_meta:
                layer.load_state_dict({'weight': weight.detach(), 'bias': bias.detach()})
            setattr(self, name, layer)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Concatenated query, key and value.

        Args:
            x: tokens (B, N, C).

        Returns:
            (B, N, 3C).
        """
        return torch.cat([self.q(x), self.k(x), self.v(x)], dim=-1)


def projections(attn: nn.Module) -> tuple[nn.Module, nn.Module, nn.Module]:
    """The query, key and value layers of a last block's attention, EVA's or a plain ViT's.

    Args:
        attn: timm's ``EvaAttention`` with separate projections, or ``Attention`` whose ``qkv`` is a `SplitQKV`.

    Returns:
        Three layers C -> C.
    """
    if isinstance(attn.qkv, SplitQKV):
        return attn.qkv.q, attn.qkv.k, attn.qkv.v
    return attn.q_proj, attn.k_proj, attn.v_proj


class Readout(nn.Module):
    """Base class of the readouts: ``readout(block, tokens, rope) -> patch tokens (B, N, C)``."""

    def unused(self, block: nn.Module) -> list[nn.Module]:
        """The modules of the last block that this readout does not use: they get no gradient and are frozen.

        Args:
            block: the tower's last block.
        """
        return []


class VanillaReadout(Readout):
    r"""The block as CLIP trained it: every patch token attends to all tokens.

    .. math:: y = x + \mathrm{Attn}(\mathrm{LN}_1 x), \quad z = y + \mathrm{MLP}(\mathrm{LN}_2 y)
    """

    def forward(self, block: nn.Module, tokens: torch.Tensor, rope: torch.Tensor | None) -> torch.Tensor:
        """Patch tokens after the unchanged block.

        Args:
            block: the last block.
            tokens: (B, 1+N, C).
            rope: rotary embedding of the patch tokens (N, 2*head_dim), or None.

        Returns:
            (B, N, C).
        """
        return run_block(block, tokens, rope)[:, 1:]


class ValueReadout(Readout):
    r"""The value path (MaskCLIP; CLIPSelf, sec. 3.1): attention is the identity, residual and MLP stay.

    .. math:: y = x + \mathrm{proj}(\mathrm{LN}(W_v\,\mathrm{LN}_1 x)), \quad z = y + \mathrm{MLP}(\mathrm{LN}_2 y)

    No token mixes with another, so query, key and the class token are not computed.
    """

    def unused(self, block: nn.Module) -> list[nn.Module]:
        """Query and key projections.

        Args:
            block: the tower's last block.
        """
        return list(projections(block.attn)[:2])

    def forward(self, block: nn.Module, tokens: torch.Tensor, rope: torch.Tensor | None) -> torch.Tensor:
        """Patch tokens after the value path.

        Args:
            block: the last block.
            tokens: (B, 1+N, C).
            rope: not used, since no attention is computed.

        Returns:
            (B, N, C).
        """
        x = tokens[:, 1:]  # (B, N, C)
        value = projections(block.attn)[2](block.norm1(x))
        x = x + block.attn.proj(block.attn.norm(value))
        return x + block.mlp(block.norm2(x))


READOUTS: dict[str, type[Readout]] = {'vanilla': VanillaReadout, 'value': ValueReadout}


def build_readout(name: str) -> Readout:
    """The readout of that name.

    Args:
        name: a key of `READOUTS`.

    Raises:
        ValueError: no readout has that name.
    """
    if name not in READOUTS:
        raise ValueError(f"backbone field 'readout': found {name!r}, expected one of {sorted(READOUTS)}")
    return READOUTS[name]()


def run_block(block: nn.Module, tokens: torch.Tensor, rope: torch.Tensor | None) -> torch.Tensor:
    """One unchanged transformer block.

    Args:
        block: timm's ``EvaBlock`` or ``Block``.
        tokens: (B, 1+N, C).
        rope: rotary embedding (N, 2*head_dim) of the patch tokens; None for a ViT without.

    Returns:
        (B, 1+N, C).
    """
    return block(tokens) if rope is None else block(tokens, rope=rope)


def class_token(block: nn.Module, tokens: torch.Tensor, rope: torch.Tensor | None) -> torch.Tensor:
    """The class token after the block: its row of the attention alone, instead of all N+1 rows.

    Args:
        block: the last block.
        tokens: (B, 1+N, C).
        rope: rotary embedding (N, 2*head_dim) of the patch tokens; the class token is not rotated.

    Returns:
        (B, C).
    """
    attn, x = block.attn, block.norm1(tokens)
    to_q, to_k, to_v = projections(attn)
    q, k, v = (split_heads(y, attn.num_heads) for y in (to_q(x[:, :1]), to_k(x), to_v(x)))  # (B, heads, 1 | 1+N, c)
    if rope is not None:
        k = torch.cat([k[:, :, :1], rotate(k[:, :, 1:], rope)], dim=2).type_as(v)
    y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)  # (B, 1, C)
    y = tokens[:, :1] + attn.proj(attn.norm(y))
    return (y + block.mlp(block.norm2(y)))[:, 0]


def split_heads(x: torch.Tensor, num_heads: int) -> torch.Tensor:
    """(B, N, C) -> (B, heads, N, C / heads).

    Args:
        x: tokens (B, N, C).
        num_heads: number of heads, a divisor of C.
    """
    return x.unflatten(-1, (num_heads, -1)).transpose(1, 2)  # (B, heads, N, C / heads)


def rotate(x: torch.Tensor, rope: torch.Tensor) -> torch.Tensor:
    """Rotary position embedding over adjacent channel pairs (EVA-02).

    Args:
        x: patch tokens (B, heads, N, c).
        rope: sine and cosine side by side (N, 2c).

    Returns:
        (B, heads, N, c).
    """
    sin, cos = rope.chunk(2, dim=-1)
    turned = torch.stack([-x[..., 1::2], x[..., ::2]], dim=-1).flatten(-2)  # (B, heads, N, c)
    return x * cos + turned * sin
