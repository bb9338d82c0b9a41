from typing import Any, NamedTuple

import torch
from torch import nn

from rsc_mm.registry import READOUTS


class DenseTokens(NamedTuple):
    """What a readout gives: patch tokens of two kinds, which DeCLIP calls content and context.

    ``content``: (B, N, C), which the tower's final norm and head turn into dense embeddings.
    ``context``: (B, N, E), whose cosines say which patches belong together; None: the dense embeddings say it.
    """

    content: torch.Tensor
    context: torch.Tensor | None = None


class Readout(nn.Module):
    r"""The rule by which the patch tokens pass the last blocks of a tower; base class.

    A pre-trained ViT trains only the pooled row of its last attention, so that the patch tokens of the last block mean
    little. A readout takes over from the inputs :math:`x^{(l)}` of the last n blocks:

    .. math:: (\text{content}, \text{context}) = \mathrm{readout}(x^{(L-n+1)}, \dots, x^{(L)})

    The blocks before the last run unchanged in any case; whether the last one is run is up to the readout. It belongs
    to the backbone: it is trained, saved and needed downstream, and so are its own parameters. A subclass

    * gives ``num_blocks``, n, as a class attribute or in its constructor;
    * implements ``forward(blocks, inputs, rope)``;
    * names in `unused` what gets no gradient, since DDP refuses parameters that take no part;
    * names in ``fields`` the constructor arguments that change its output, which travel with the checkpoint;
    * is registered: ``@READOUTS.register_module('name')``.

    Args:
        vit: timm's network, for sizes; its blocks are not kept.

    Attributes:
        num_blocks: n, the number of last blocks whose inputs are read.
        fields: names of the constructor's arguments that change the output, each kept as an attribute.
        in_pooling: whether it works in the attention pooling of towers that have one, see `PooledViTTower`, instead
            of in the last blocks.
        reads_prefix: whether the result depends on the prefix tokens of the inputs.
        num_prefix_tokens: P, class token and registers, which come first and are left out of the result.
    """

    num_blocks: int = 1
    reads_prefix: bool = True
    in_pooling: bool = True
    fields: tuple[str, ...] = ()

    def __init__(self, vit: nn.Module) -> None:
        super().__init__()
        self.num_prefix_tokens: int = vit.num_prefix_tokens

    def unused(self, blocks: nn.ModuleList) -> list[nn.Module | nn.Parameter]:
        """What this readout does not use of the blocks: it gets no gradient and is frozen.

        Args:
            blocks: the last n blocks.
        """
        return []

    def forward(self, blocks: nn.ModuleList, inputs: tuple[torch.Tensor, ...],
                rope: torch.Tensor | None) -> DenseTokens:
        """The dense tokens.

        Args:
            blocks: the last n blocks of timm's network.
            inputs: the tokens before each of them, n tensors (B, P+N, C), the prefix tokens first.
            rope: rotary embedding of the patch tokens (N, 2*head_dim), or None.

        Returns:
            Tokens of the N patches.
        """
        raise NotImplementedError

    def patches(self, tokens: torch.Tensor) -> torch.Tensor:
        """Tokens without the prefix.

        Args:
            tokens: (B, P+N, C).

        Returns:
            (B, N, C).
        """
        return tokens[:, self.num_prefix_tokens:]


def build_readout(readout: str | dict[str, Any], vit: nn.Module) -> Readout:
    """The readout of a backbone.

    Args:
        readout: its name, or ``dict(type=name, field=value)``.
        vit: timm's network.

    Raises:
        ValueError: no readout has that name, it has no such field, or it reads more blocks than there are.
    """
    fields = dict(type=readout) if isinstance(readout, str) else dict(readout)
    cls = READOUTS.get(str(fields.pop('type', None)))
    if cls is None:
        raise ValueError(f"backbone field 'readout': found {readout!r}, expected one of "
                         f"{sorted(READOUTS.module_dict)}, or dict(type=NAME, ...) with the readout's fields")
    if unknown := sorted(fields.keys() - set(cls.fields)):
        raise ValueError(f"backbone field 'readout': found {unknown} in {readout!r}, expected no other fields than "
                         f'{list(cls.fields)}')
    built = cls(vit, **fields)
    if built.num_blocks > len(vit.blocks):
        raise ValueError(f"backbone field 'readout': found {readout!r}, which reads the last {built.num_blocks} "
                         f'blocks, expected at most {len(vit.blocks)}, the depth of the tower')
    return built


def readout_config(readout: Readout) -> str | dict[str, Any]:
    """The canonical form of the field ``readout``: what is saved with a checkpoint and compared on loading.

    Args:
        readout: a built readout.

    Returns:
        Its name; for a readout with fields ``dict(type=name, field=value)`` with all of them.
    """
    name = next(name for name, cls in READOUTS.module_dict.items() if cls is type(readout))
    return dict(type=name, **{field: getattr(readout, field) for field in readout.fields}) if readout.fields else name
