"""Attention pooling (SigLIP, PE-Core) in parts that readouts and towers reach into.

timm's ``AttentionPoolLatent`` makes the image embedding of all tokens x after the final norm,

    y = proj(softmax(q(latent) k(x)^T) v(x)),    image = y + MLP(LN(y)).

Here its attention stands as one more block after the network's own, the last whose attention was trained for one row
only; what follows, y + MLP(LN(y)), belongs to the dense head.
"""
import torch
from timm.layers import AttentionPoolLatent
from torch import nn


class SplitKV(nn.Module):
    """The fused key-value projection of an attention pooling as two layers, so that the keys can be frozen.

    Args:
        kv: the fused layer, C -> 2C, in the order key, value.
    """

    def __init__(self, kv: nn.Linear) -> None:
        super().__init__()
        biases = (None, ) * 2 if kv.bias is None else kv.bias.chunk(2)
        for name, weight, bias in zip('kv', kv.weight.chunk(2), biases):
            layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device=weight.device)
            if not weight.is_meta:
                pair = {'weight': weight, 'bias': bias}
                layer.load_state_dict({key: value.detach() for key, value in pair.items() if value is not None})
            setattr(self, name, layer)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Concatenated key and value.

        Args:
            x: tokens (B, N, C).

        Returns:
            (B, N, 2C).
        """
        return torch.cat([self.k(x), self.v(x)], dim=-1)


class PoolAttention(nn.Module):
    """The projections of an attention pooling under the names of a block's attention.

    Args:
        pool: timm's pooling, whose ``kv`` is a `SplitKV`.
    """

    def __init__(self, pool: AttentionPoolLatent) -> None:
        super().__init__()
        self.q_proj, self.k_proj, self.v_proj = pool.q, pool.kv.k, pool.kv.v
        self.q_norm, self.k_norm = pool.q_norm, pool.k_norm
        self.norm = nn.Identity()
        self.proj = pool.proj
        self.num_heads: int = pool.num_heads
        self.qkv = self.gate = None


class PoolBlock(nn.Module):
    r"""The attention of the pooling as the last block of a tower: without residual and MLP.

    It holds the network's own modules, not copies, and is never run as a whole: a readout such as 'value' computes
    :math:`\mathrm{proj}(W_v\,\mathrm{LN}(x))` of it, with queries and keys of the patch tokens where it wants them.

    Args:
        norm: the network's final norm.
        pool: timm's pooling.
    """

    def __init__(self, norm: nn.Module, pool: AttentionPoolLatent) -> None:
        super().__init__()
        self.norm1 = norm
        self.attn = PoolAttention(pool)


class PoolValue(nn.Module):
    r"""The value path of the pooling for tokens after the final norm: :math:`\mathrm{proj}(W_v\,x)`.

    Args:
        pool: timm's pooling.
    """

    def __init__(self, pool: AttentionPoolLatent) -> None:
        super().__init__()
        self.v, self.proj = pool.kv.v, pool.proj

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Tokens as the pooling passes one alone.

        Args:
            x: (..., C).

        Returns:
            (..., C).
        """
        return self.proj(self.v(x))


class PoolMLP(nn.Module):
    r"""The second half of the pooling: :math:`y + \mathrm{MLP}(\mathrm{LN}(y))`.

    DeCLIP's SigLIP head adds the MLP to the normalised value instead, unlike the head that makes the image embedding;
    this is the head's own form.

    Args:
        pool: timm's pooling.
    """

    def __init__(self, pool: AttentionPoolLatent) -> None:
        super().__init__()
        self.norm, self.mlp = pool.norm, pool.mlp

    def forward(self, y: torch.Tensor) -> torch.Tensor:
        """Tokens after the MLP.

        Args:
            y: (..., C).

        Returns:
            (..., C).
        """
        return y + self.mlp(self.norm(y))
