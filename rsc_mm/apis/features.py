"""What is looked into: the dense map of a tower, the refined map of a Refiner, or the tokens of a VFM."""
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.device import get_device

from rsc_mm.registry import MODELS
from rsc_mm.utils.regions import grid_shape, region_tokens

from .config import load_config

Maps = list[torch.Tensor]


class TowerFeatures:
    """The dense map of a tower: ``model.backbone`` of a configuration with a checkpoint's weights.

    Args:
        config: its model is a `RegionEncoder` or a distiller.
        checkpoint: weights as tools/test.py takes them.
        device: where it runs.
    """

    def __init__(self, config: Config, checkpoint: str, device: str) -> None:
        init_cfg = dict(type='Pretrained', checkpoint=str(checkpoint))
        self.tower = MODELS.build({**config.model.backbone, 'init_cfg': init_cfg})
        self.tower.init_weights()
        self.tower.to(device).freeze()
        self.patch_size = self.tower.patch_size

    def parts(self, images: torch.Tensor, count: int = 1) -> Maps:
        """Dense maps of the equal parts that stand side by side in each image.

        Args:
            images: normalised images (B, 3, H, W) whose width is ``count`` times a multiple of the patch.
            count: number of parts.

        Returns:
            ``count`` maps (B, D, h, w).
        """
        return list(self.tower.encode_dense(images).chunk(count, dim=3))

    def regions(self, images: torch.Tensor, boxes: list[torch.Tensor], size: int) -> torch.Tensor:
        """Region tokens (sum K_i, size^2, D), by RoIAlign.

        Args:
            images: normalised images (B, 3, H, W).
            boxes: for each image (K_i, 4) in network pixels.
            size: side of the region grid.
        """
        return region_tokens(self.tower.encode_dense(images), boxes, self.patch_size, size)


class RefinerFeatures:
    """The refined map of a tower's Refiner: the parts of an image are its regions.

    Args:
        config: its model is a `RefinerTrainer`.
        checkpoint: what stage 1 saved.
        device: where it runs.
    """

    def __init__(self, config: Config, checkpoint: str, device: str) -> None:
        refiner = {**config.model.refiner, 'init_cfg': dict(type='Pretrained', checkpoint=str(checkpoint))}
        model = MODELS.build({**config.model, 'refiner': refiner})
        model.init_weights()
        model.to(device).requires_grad_(False).eval()
        self.tower, self.refiner = model.backbone, model.refiner
        self.patch_size = self.tower.patch_size

    def parts(self, images: torch.Tensor, count: int = 1) -> Maps:
        """Refined maps of the equal parts that stand side by side in each image; arguments as `TowerFeatures.parts`."""
        maps = self.tower.intermediates(images, self.refiner.layers)
        (height, width), grid = images.shape[2:], (maps[0].shape[2], maps[0].shape[3] // count)
        step = width / count
        boxes = [images.new_tensor([[i * step, 0, (i + 1) * step, height] for i in range(count)])] * len(images)
        tokens = self.refiner(maps, boxes, grid)  # (B * count, L, D)
        dense = tokens.transpose(1, 2).unflatten(2, grid).unflatten(0, (len(images), count))  # (B, count, D, h, w)
        return list(dense.unbind(1))

    def regions(self, images: torch.Tensor, boxes: list[torch.Tensor], size: int) -> torch.Tensor:
        """Refined region tokens (sum K_i, size^2, D); arguments as `TowerFeatures.regions`."""
        return self.refiner(self.tower.intermediates(images, self.refiner.layers), boxes, size)


class VFMFeatures:
    """The tokens of a vision foundation model on its own grid.

    Args:
        config: its model is a `VFMTeacher`.
        checkpoint: weights in timm's or the original's format.
        device: where it runs.
    """

    def __init__(self, config: Config, checkpoint: str, device: str) -> None:
        self.vfm = MODELS.build({**config.model, 'init_cfg': dict(type='Pretrained', checkpoint=str(checkpoint))})
        self.vfm.init_weights()
        self.vfm.to(device)
        self.patch_size = self.vfm.patch_size

    def parts(self, images: torch.Tensor, count: int = 1) -> Maps:
        """Maps of the equal parts that stand side by side in each image; arguments as `TowerFeatures.parts`."""
        maps = self.vfm(images, grid_shape(images.shape[2:], self.patch_size), self.patch_size)
        return list(maps.chunk(count, dim=3))

    def regions(self, images: torch.Tensor, boxes: list[torch.Tensor], size: int) -> torch.Tensor:
        """Region tokens (sum K_i, size^2, E), by RoIAlign; arguments as `TowerFeatures.regions`."""
        return region_tokens(*self.parts(images), boxes, self.patch_size, size)


Features = TowerFeatures | RefinerFeatures | VFMFeatures
FEATURES: dict[str, Callable[..., Features]] = {'RefinerTrainer': RefinerFeatures, 'VFMTeacher': VFMFeatures}


def load_features(config: Config, checkpoint: str) -> Features:
    """What a configuration and a checkpoint evaluate: a `RefinerTrainer`'s Refiner, a `VFMTeacher`, else the tower.

    Args:
        config: configuration.
        checkpoint: weights of the tower, of the Refiner or of the VFM.
    """
    return FEATURES.get(config.model.type, TowerFeatures)(config, checkpoint, get_device())


def load_several(configs: Sequence[str], checkpoints: Sequence[str], names: Sequence[str] | None = None,
                 options: dict | None = None) -> dict[str, Features]:
    """The features of several checkpoints by name.

    Args:
        configs: one configuration file, or one for each checkpoint.
        checkpoints: weights of towers, Refiners or VFMs.
        names: one for each checkpoint; default: the file names without ending.
        options: overrides of the configurations.

    Raises:
        ValueError: the lengths do not fit, or a name stands twice.
    """
    count = len(checkpoints)
    paths = list(configs) * count if len(configs) == 1 else list(configs)
    names = list(names or [Path(path).stem for path in checkpoints])
    if len(paths) != count or len(names) != count or len(set(names)) != count:
        raise ValueError(f'--checkpoints: found {count} files, {len(configs)} of --config and the names {names}, '
                         'expected one --config or one for each checkpoint, and a different name for each (--names)')
    return {name: load_features(load_config(path, options), checkpoint)
            for name, path, checkpoint in zip(names, paths, checkpoints)}
