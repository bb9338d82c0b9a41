import torch
from torch import nn
from torch.nn import functional as F

from rsc_mm.models.backbones.blocks import (
    attention_output,
    feed_forward_parts,
    merge_heads,
    projections,
    queries,
    split_heads,
    values,
)
from rsc_mm.registry import READOUTS

from .base import DenseTokens, Readout


@READOUTS.register_module('values')
class ValuesReadout(Readout):
    r"""The values of the last layers, summed (DenseRC, ablation of the readout).

    .. math:: X_{dense} = \sum_l \mathrm{proj}^{(l)}\big(\mathrm{LN}^{(l)} v^{(l)}\big), \quad
              v^{(l)} = W_v\,\mathrm{LN}_1 x^{(l)}

    No attention, no residual, no MLP. With one layer it is the paper's "last value". Context is the dense map itself.

    Args:
        vit: timm's network.
        num_layers: number of last layers; the paper's 3.

    Raises:
        ValueError: ``num_layers`` is below 1.
    """

    fields = ('num_layers', )
    reads_prefix = False
    in_pooling = False

    def __init__(self, vit: nn.Module, num_layers: int = 3) -> None:
        super().__init__(vit)
        if num_layers < 1:
            raise ValueError(f"backbone field 'readout': found num_layers={num_layers}, expected at least 1")
        self.num_layers = self.num_blocks = num_layers
        self.num_heads: int = vit.blocks[-1].attn.num_heads

    def unused(self, blocks: nn.ModuleList) -> list[nn.Module | nn.Parameter]:
        """Query, key and MLP of the last block; the others run to give its input.

        Args:
            blocks: the last ``num_layers`` blocks.
        """
        attn = blocks[-1].attn
        return [*projections(attn)[:2], attn.q_norm, attn.k_norm, *feed_forward_parts(blocks[-1])]

    def forward(self, blocks: nn.ModuleList, inputs: tuple[torch.Tensor, ...],
                rope: torch.Tensor | None) -> DenseTokens:
        """The sum over the layers.

        Args:
            blocks: the last ``num_layers`` blocks.
            inputs: the tokens before each (B, P+N, C).
            rope: not used: without attention there is none, and like attends to like wherever it stands.

        Returns:
            Content (B, N, C).
        """
        return DenseTokens(sum(self.layer(block, x) for block, x in zip(blocks, inputs)))

    def layer(self, block: nn.Module, tokens: torch.Tensor) -> torch.Tensor:
        """What one layer adds.

        Args:
            block: timm's block.
            tokens: before it (B, P+N, C).

        Returns:
            (B, N, C).
        """
        x = block.norm1(self.patches(tokens))  # (B, N, C)
        return attention_output(block, x, values(block.attn, x))


@READOUTS.register_module('values_qq')
class ValuesQQReadout(ValuesReadout):
    r"""The same after queries have attended to queries in each layer (DenseRC's ablation "+QQ").

    .. math:: X_{dense} = \sum_l \mathrm{proj}^{(l)}\big(\mathrm{LN}^{(l)}[
              \mathrm{softmax}(q^{(l)} q^{(l)T})\,v^{(l)}]\big)

    The paper does not say how it scales the logits; here not at all, as DeCLIP on EVA-CLIP (`SelfAttentionReadout`).
    The class token attends and is attended to. Context is the dense map itself, not the queries.
    """

    reads_prefix = True

    def unused(self, blocks: nn.ModuleList) -> list[nn.Module | nn.Parameter]:
        """Key and MLP of the last block.

        Args:
            blocks: the last ``num_layers`` blocks.
        """
        attn = blocks[-1].attn
        read = {id(projections(attn)[0]), id(attn.q_norm)}
        return [part for part in super().unused(blocks) if id(part) not in read]

    def layer(self, block: nn.Module, tokens: torch.Tensor) -> torch.Tensor:
        """What one layer adds.

        Args:
            block: timm's block.
            tokens: before it (B, P+N, C).

        Returns:
            (B, N, C).
        """
        x, attn = block.norm1(tokens), block.attn
        value = split_heads(values(attn, x), self.num_heads)  # (B, heads, P+N, c)
        query = attn.q_norm(split_heads(queries(attn, x), self.num_heads)).type_as(value)
        attended = merge_heads(F.scaled_dot_product_attention(query, query, value, scale=1.))
        return self.patches(attention_output(block, x, attended))
