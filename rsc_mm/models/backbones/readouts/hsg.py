import torch
from torch import nn

from rsc_mm.models.backbones.blocks import (
    attention_output,
    feed_forward,
    feed_forward_parts,
    merge_heads,
    split_heads,
    values,
)
from rsc_mm.registry import READOUTS

from .base import DenseTokens
from .multi_layer import ValuesReadout

PROJECTS = ('per_layer', 'once')


@READOUTS.register_module('hsg')
class HSGReadout(ValuesReadout):
    r"""Head Selection Gating: gated values of the last layers (DenseRC, CVPR 2026).

    Of each of the last layers :math:`l`, with :math:`v^{(l)} = W_v\,\mathrm{LN}_1 x^{(l)}` split in H heads,

    .. math:: A^{(l)} = \sigma(W_H\,\mathrm{LN}_1 x^{(l)}) \in (0, 1)^{N \times H}, \quad
              X_{dense} = \sum_l \mathrm{proj}^{(l)}\big(\mathrm{LN}^{(l)}[A^{(l)} \odot v^{(l)}]\big)

    per token and head, without any mixing of tokens; no residual, no MLP. :math:`W_H` is shared by the layers: 9,216
    parameters for ViT-B/16. Context is the dense map itself. Chosen here: :math:`W_H` starts at 0, so that all heads
    of all layers count the same and the start depends on no random number.

    Args:
        vit: timm's network.
        num_layers: number of last layers; the paper's 3.
        project: 'per_layer' (above), or 'once': the gated values are summed and pass the last layer's norm and
            projection.

    Raises:
        ValueError: a field is out of its range.
    """

    fields = ('num_layers', 'project')

    def __init__(self, vit: nn.Module, num_layers: int = 3, project: str = 'per_layer') -> None:
        super().__init__(vit, num_layers)
        if project not in PROJECTS:
            raise ValueError(f"backbone field 'readout': found project={project!r}, expected one of {PROJECTS}")
        self.project = project
        self.gate = nn.Linear(vit.embed_dim, self.num_heads, bias=False)
        nn.init.zeros_(self.gate.weight)

    def forward(self, blocks: nn.ModuleList, inputs: tuple[torch.Tensor, ...],
                rope: torch.Tensor | None) -> DenseTokens:
        """The summed gated values.

        Args:
            blocks: the last ``num_layers`` blocks.
            inputs: the tokens before each (B, P+N, C).
            rope: not used, since no attention is computed.

        Returns:
            Content (B, N, C).
        """
        normed = [block.norm1(self.patches(x)) for block, x in zip(blocks, inputs)]  # (B, N, C)
        gated = [self._gated(block, x) for block, x in zip(blocks, normed)]
        if self.project == 'once':
            return DenseTokens(attention_output(blocks[-1], normed[-1], sum(gated)))
        return DenseTokens(sum(attention_output(*layer) for layer in zip(blocks, normed, gated)))

    def _gated(self, block: nn.Module, x: torch.Tensor) -> torch.Tensor:
        gates = self.gate(x).sigmoid().transpose(1, 2)[..., None]  # (B, heads, N, 1)
        return merge_heads(gates * split_heads(values(block.attn, x), self.num_heads))


@READOUTS.register_module('hsg_ffn')
class HSGFeedForwardReadout(HSGReadout):
    r"""Head Selection Gating with the last block's FFN (DenseRC, supplement, table 13).

    .. math:: X = X_{dense} + \mathrm{FFN}(\mathrm{LN}_2 X_{dense})

    with the last block's own weights. The paper leaves the FFN out of the student; keeping it changes its numbers by
    0.1. Where it stands is not said: here after the sum of the layers, with its residual. Fields as in `HSGReadout`.
    """

    def unused(self, blocks: nn.ModuleList) -> list[nn.Module | nn.Parameter]:
        """Query and key of the last block.

        Args:
            blocks: the last ``num_layers`` blocks.
        """
        ffn = {id(part) for part in feed_forward_parts(blocks[-1])}
        return [part for part in super().unused(blocks) if id(part) not in ffn]

    def forward(self, blocks: nn.ModuleList, inputs: tuple[torch.Tensor, ...],
                rope: torch.Tensor | None) -> DenseTokens:
        """The summed gated values after the FFN.

        Args:
            blocks: the last ``num_layers`` blocks.
            inputs: the tokens before each (B, P+N, C).
            rope: not used.

        Returns:
            Content (B, N, C).
        """
        return DenseTokens(feed_forward(blocks[-1], super().forward(blocks, inputs, rope).content))
