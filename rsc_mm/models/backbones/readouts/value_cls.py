import torch
from torch import nn

from rsc_mm.models.backbones.blocks import attention_output, feed_forward, projections
from rsc_mm.registry import READOUTS

from .base import DenseTokens
from .value import ValueReadout


@READOUTS.register_module('value_cls')
class ValueClassReadout(ValueReadout):
    r"""The value path with the class token's residual: what CAT-Seg's published models were trained with.

    .. math:: y = x_{CLS} + \mathrm{proj}(\mathrm{LN}(W_v\,\mathrm{LN}_1 x)), \quad
              z = y + \mathrm{MLP}(\mathrm{LN}_2 y)

    In the place of its own residual every patch has that of the class token (public code of CAT-Seg, CVPR 2024; its
    first version and MaskCLIP have the patch's own, 'value').

    Args:
        vit: timm's network with a class token.

    Raises:
        ValueError: it has none.
    """

    reads_prefix = True
    in_pooling = False

    def __init__(self, vit: nn.Module) -> None:
        super().__init__(vit)
        if vit.cls_token is None:
            raise ValueError("backbone field 'readout': found 'value_cls' on a tower without class token, expected "
                             "'value'")

    def forward(self, blocks: nn.ModuleList, inputs: tuple[torch.Tensor, ...],
                rope: torch.Tensor | None) -> DenseTokens:
        """Patch tokens after the value path.

        Args:
            blocks: the last block.
            inputs: its tokens (B, P+N, C), the class token first.
            rope: not used, since no attention is computed.

        Returns:
            Content (B, N, C).
        """
        block, tokens = blocks[-1], inputs[-1]
        normed = block.norm1(self.patches(tokens))  # (B, N, C)
        values = attention_output(block, normed, projections(block.attn)[2](normed))
        return DenseTokens(feed_forward(block, tokens[:, :1] + values))
