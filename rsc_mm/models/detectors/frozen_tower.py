from torch import nn

from rsc_mm.models.backbones.vit_tower import ViTTower


def freeze_tower(detector: nn.Module) -> ViTTower:
    """Freezes the tower of a detector that reads maps and dense map in one pass: its last map becomes the dense map.

    Args:
        detector: with its ``backbone``.

    Returns:
        The tower.

    Raises:
        ValueError: the maps do not end with the last block.
    """
    tower = detector.backbone.freeze()
    if tower.out_indices[-1] != tower.depth - 1:
        raise ValueError(f"{type(detector).__name__} field 'backbone.out_indices': found {tower.out_indices}, expected "
                         f'the last to be {tower.depth - 1}, the last block, whose readout gives the dense map')
    return tower
