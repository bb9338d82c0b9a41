import torch
from torch import nn

from rsc_mm.models.backbones.blocks import add_attention, attention_output, feed_forward, projections, run_block
from rsc_mm.registry import READOUTS

from .base import DenseTokens, Readout


@READOUTS.register_module('vanilla')
class VanillaReadout(Readout):
    r"""The last block as it was pre-trained: every patch token attends to all tokens.

    .. math:: y = x + \mathrm{Attn}(\mathrm{LN}_1 x), \quad z = y + \mathrm{MLP}(\mathrm{LN}_2 y)
    """

    in_pooling = False

    def forward(self, blocks: nn.ModuleList, inputs: tuple[torch.Tensor, ...],
                rope: torch.Tensor | None) -> DenseTokens:
        """Patch tokens after the unchanged block.

        Args:
            blocks: the last block.
            inputs: its tokens (B, P+N, C).
            rope: rotary embedding of the patch tokens (N, 2*head_dim), or None.

        Returns:
            Content (B, N, C).
        """
        return DenseTokens(self.patches(run_block(blocks[-1], inputs[-1], rope)))


@READOUTS.register_module('value')
class ValueReadout(Readout):
    r"""The value path (MaskCLIP; CLIPSelf, sec. 3.1): attention is the identity, residual and MLP stay.

    .. math:: y = x + \mathrm{proj}(\mathrm{LN}(W_v\,\mathrm{LN}_1 x)), \quad z = y + \mathrm{MLP}(\mathrm{LN}_2 y)

    No token mixes with another, so query, key and the prefix tokens are not computed.
    """

    reads_prefix = False

    def unused(self, blocks: nn.ModuleList) -> list[nn.Module | nn.Parameter]:
        """Query and key projections and their norms.

        Args:
            blocks: the last block.
        """
        attn = blocks[-1].attn
        return [*projections(attn)[:2], attn.q_norm, attn.k_norm]

    def forward(self, blocks: nn.ModuleList, inputs: tuple[torch.Tensor, ...],
                rope: torch.Tensor | None) -> DenseTokens:
        """Patch tokens after the value path.

        Args:
            blocks: the last block.
            inputs: its tokens (B, P+N, C).
            rope: not used, since no attention is computed.

        Returns:
            Content (B, N, C).
        """
        block, x = blocks[-1], self.patches(inputs[-1])  # (B, N, C)
        normed = block.norm1(x)
        x = add_attention(block, x, attention_output(block, normed, projections(block.attn)[2](normed)))
        return DenseTokens(feed_forward(block, x))
