from typing import NamedTuple

import torch
from torch import nn

from rsc_mm.models.backbones.blocks import projections


class StudentMaps(NamedTuple):
    """What one dense forward of a tower computes: both alignment and constraint read it.

    ``dense``: embeddings (B, D, h, w); ``values``: output (B, C, h, w) of the last block's value projection.
    """

    dense: torch.Tensor
    values: torch.Tensor


def encode_maps(tower: nn.Module, images: torch.Tensor) -> StudentMaps:
    """The dense map of a tower together with the attention values that it was read from.

    The values are observed while ``encode_dense`` runs, so they cost nothing and carry the gradient, under activation
    checkpointing and DDP as well. The class token's are left out.

    Args:
        tower: student or teacher.
        images: normalised images (B, 3, H, W).

    Raises:
        ValueError: the tower's readout does not use the value projection of the last block.
    """
    seen = []
    value = projections(tower.vit.blocks[-1].attn)[2]
    hook = value.register_forward_hook(lambda module, inputs, output: seen.append(output))
    try:
        dense = tower.encode_dense(images)
    finally:
        hook.remove()
    if not seen:
        raise ValueError(f"backbone field 'readout': found {tower.readout_config!r}, which computes no values in the "
                         "last block, expected one that does, such as 'value'")
    grid = dense.shape[2:]
    values = seen[-1][:len(dense), -grid.numel():]  # (B, N, C); no image at all was encoded as one stand-in
    return StudentMaps(dense, values.transpose(1, 2).unflatten(2, grid))  # (B, C, h, w)
