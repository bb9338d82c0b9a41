import torch
from torch import nn
from torch.nn import functional as F


class SplitAttention(nn.Module):
    """PyTorch's ``MultiheadAttention`` with query, key and value layers of their own, so that each can be frozen.

    Takes the place of ``attn`` in open_clip's text blocks and reads its weights: ``in_proj_weight`` and
    ``in_proj_bias`` of a state dict become those of ``q``, ``k`` and ``v``.

    Args:
        attention: the fused attention, with batches first.
    """

    def __init__(self, attention: nn.MultiheadAttention) -> None:
        super().__init__()
        self.num_heads = attention.num_heads
        dim, device = attention.embed_dim, attention.in_proj_weight.device
        self.q, self.k, self.v, self.out_proj = (nn.Linear(dim, dim, device=device) for _ in range(4))
        self.requires_grad_(attention.in_proj_weight.requires_grad)
        self.register_load_state_dict_pre_hook(_split)
        if device.type != 'meta':
            self.load_state_dict(attention.state_dict())

    def forward(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, need_weights: bool = False,
                attn_mask: torch.Tensor | None = None) -> tuple[torch.Tensor, None]:
        """Attention, as open_clip's block calls it.

        Args:
            query: (B, L, C).
            key: (B, S, C).
            value: (B, S, C).
            need_weights: ignored, no weights are returned.
            attn_mask: added to the logits (L, S).

        Returns:
            (B, L, C), and None in the place of the weights.
        """
        q, k, v = (layer(x).unflatten(2, (self.num_heads, -1)).transpose(1, 2)  # (B, heads, L | S, C / heads)
                   for layer, x in ((self.q, query), (self.k, key), (self.v, value)))
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=attn_mask)
        return self.out_proj(out.transpose(1, 2).flatten(2)), None  # (B, L, C)


def split_text_attention(tower: nn.Module) -> None:
    """Hold the query, key and value layers of every block apart, in place; the output stays the same.

    Args:
        tower: open_clip's text transformer, of plain blocks.
    """
    for block in tower.transformer.resblocks:
        if isinstance(block.attn, nn.MultiheadAttention):
            block.attn = SplitAttention(block.attn)


def _split(module: nn.Module, state_dict: dict, prefix: str, *args: object) -> None:
    for kind in ('weight', 'bias'):
        fused = state_dict.pop(f'{prefix}in_proj_{kind}', None)
        if fused is not None:
            state_dict.update({f'{prefix}{part}.{kind}': rows for part, rows in zip('qkv', fused.chunk(3))})
