from typing import TypeGuard

import timm
import torch
from mmengine.model import BaseModule
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from timm.models import is_model_in_modules
from timm.models.eva import Eva
from timm.models.vision_transformer import VisionTransformer
from torch import nn
from torch.nn import functional as F

from rsc_mm.models.backbones.networks import build_vit
from rsc_mm.models.backbones.position import POSITION_RESIZES
from rsc_mm.models.backbones.vit_tower import ViTTower
from rsc_mm.models.region_preprocessor import CLIP_MEAN, CLIP_STD
from rsc_mm.registry import MODELS

from .vfm_checkpoint import load_vfm_checkpoint

Grid = tuple[int, int]


@MODELS.register_module()
class VFMTeacher(BaseModule):
    r"""A frozen vision foundation model, whose patch tokens say what belongs together (DeCLIP, sec. 3.3).

    =================== ============================================= ======= ===================================
    family              timm's name                                   patch   tokens
    =================== ============================================= ======= ===================================
    DINO                vit_{small,base}_patch{8,16}_224.dino          8, 16  last block, final norm
    DINOv2              vit_{small,base,large}_patch14_dinov2             14  the same
    DINOv2, registers   vit_{small,base,large}_patch14_reg4_dinov2        14  the same; DeCLIP's own choice
    DINOv3              vit_{small,base,large}_patch16_dinov3             16  DenseRC: ``layer=-2``
    SAM                 samvit_{base,large}_patch16                       16  after the neck, 256 channels
    PE-Spatial          vit_pe_spatial_{tiny,small,base}_patch16_512      16  last block; it has no final norm
    C-RADIO             vit_{base,large}_patch16_radio_v3                 16  last block; it has no final norm
    =================== ============================================= ======= ===================================

    Class token and registers are left out. The student's normalised images are resized so that both token grids agree
    (1024 px at patch 16 become 896 px at patch 14), bicubically with antialiasing, and normalised anew. DeCLIP's code
    resizes the image file instead of the student's input.

    Always in eval mode, without gradient, never saved: a distiller reads its weights at every start.

    Args:
        arch: timm's name; a dict of arguments of timm's ``VisionTransformer``, for a network without a name; or the
            config of one of our towers, ``dict(type='EVACLIPViT', arch=..., init_cfg=...)``.
        layer: block whose tokens are read, -1 the last; SAM has its last only.
        norm: whether they pass the final norm.
        position: how the position embedding is resized: 'bicubic', 'antialiased' or 'offset'; None: as the original
            code does, 'offset' for DINO and for DINOv2 without registers, otherwise 'antialiased'.
        mean, std: per channel, in units of 1; None: those of the weights, ImageNet's for a network without a name.
        student_mean, student_std: with which the student's images were normalised.
        image_size: side of the teacher's square input in pixels; None: the one that fits the student's grid.
        init_cfg: ``dict(type='Pretrained', checkpoint=PATH)``, a file in timm's or the original's format.

    Raises:
        ValueError: a field is out of its range.
    """

    def __init__(self, arch: str | dict, layer: int = -1, norm: bool = True, position: str | None = None,
                 mean: tuple[float, ...] | None = None, std: tuple[float, ...] | None = None,
                 student_mean: tuple[float, ...] = CLIP_MEAN, student_std: tuple[float, ...] = CLIP_STD,
                 image_size: int | None = None, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        if position not in (None, *POSITION_RESIZES):
            raise ValueError(f"VFMTeacher field 'position': found {position!r}, expected one of {[*POSITION_RESIZES]}")
        self.arch = arch
        self.network = build_vfm(arch, position)
        depth = len(_blocks(self.network))
        if not -depth <= layer < depth or (layer not in (-1, depth - 1) and not isinstance(self.network, ViTTower)):
            raise ValueError(f"VFMTeacher field 'layer': found {layer}, expected a block of {arch!r}: -{depth} to "
                             f'{depth - 1}, for SAM the last, -1')
        self.layer = layer % depth
        self.norm = norm
        self.image_size = image_size
        self.patch_size: int = _patch_size(self.network)
        mean, std = (torch.tensor(given or own).view(3, 1, 1) for given, own in zip((mean, std), statistics(arch)))
        student_mean, student_std = (torch.tensor(value).view(3, 1, 1) for value in (student_mean, student_std))
        # x * student_std + student_mean is the picture; both steps in one.
        self.register_buffer('scale', student_std / std, persistent=False)
        self.register_buffer('shift', (student_mean - mean) / std, persistent=False)
        self.requires_grad_(False).eval()

    @torch.no_grad()
    def forward(self, images: torch.Tensor, grid: Grid, patch_size: int) -> torch.Tensor:
        """The tokens on the student's grid.

        Args:
            images: the student's normalised images (B, 3, H, W).
            grid: height and width of the student's map.
            patch_size: the student's, in pixels.

        Returns:
            (B, E, h, w).

        Raises:
            ValueError: the grids differ; the message gives both and the input that would fit.
        """
        size = (self.image_size, ) * 2 if self.image_size else tuple(self.patch_size * side for side in grid)
        found = tuple(side // self.patch_size for side in size)
        if found != tuple(grid):
            fits = ' x '.join(str(self.patch_size * side) for side in grid)
            raise ValueError(
                f"VFMTeacher field 'image_size': found {self.image_size}, a grid of {found[0]} x {found[1]} tokens at "
                f"patch {self.patch_size}, expected the student's {grid[0]} x {grid[1]}; an input of {fits} px would "
                'fit, which image_size=None takes')
        if not len(images):
            return images.new_zeros(0, 1, *grid)
        height, width = (patch_size * side for side in grid)
        images = F.pad(images, (0, width - images.shape[3], 0, height - images.shape[2]))
        if size != (height, width):
            images = F.interpolate(images, size, mode='bicubic', align_corners=False, antialias=True)
        return self.tokens(images * self.scale + self.shift)

    def tokens(self, images: torch.Tensor) -> torch.Tensor:
        """The tokens of images that are normalised as the teacher's weights want them.

        Args:
            images: (B, 3, H, W), sides multiples of the patch size.

        Returns:
            (B, E, h, w).
        """
        if not isinstance(self.network, ViTTower):
            return self.network.forward_features(images)
        tokens, = self.network.intermediates(images, (self.layer, ))
        if not self.norm:
            return tokens
        return self.network.vit.norm(tokens.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)  # (B, E, h, w)

    def init_weights(self) -> None:
        """Load ``init_cfg.checkpoint``, or the weights of a tower of ours by its own."""
        if _is_ours(self.arch):
            self.network.init_weights()
        elif self.init_cfg and not self.is_init:
            load_vfm_checkpoint(self.network, self.arch, self.init_cfg['checkpoint'])
        self._is_init = True

    def freeze(self) -> 'VFMTeacher':
        """It always is frozen; returns itself."""
        return self

    def train(self, mode: bool = True) -> 'VFMTeacher':
        """It stays in eval mode.

        Args:
            mode: not used.
        """
        return super().train(False)


class VFMTower(ViTTower):
    """A ViT without text, to be read block by block.

    Args:
        vit: timm's network.
        position: how the position embedding is resized, a key of `POSITION_RESIZES`.
    """

    def __init__(self, vit: nn.Module, position: str) -> None:
        super().__init__(vit, 'vanilla', None, len(vit.blocks), False, None)
        self.position = position

    def resize_position(self, position: torch.Tensor, grid: Grid) -> torch.Tensor:
        """See `POSITION_RESIZES`.

        Args:
            position: (1, C, h0, w0).
            grid: the new height and width.

        Returns:
            (1, C, h, w).
        """
        return POSITION_RESIZES[self.position](position, grid)


def build_vfm(arch: str | dict, position: str | None) -> nn.Module:
    """The teacher's network: a `ViTTower`, or timm's SAM encoder.

    Args:
        arch: see `VFMTeacher`.
        position: see `VFMTeacher`.

    Raises:
        ValueError: timm has no such network.
    """
    if _is_ours(arch):
        return MODELS.build({**arch, 'readout': 'vanilla'}).freeze()
    named = isinstance(arch, str) and timm.is_model(arch)
    if named and is_model_in_modules(arch, ['vision_transformer_sam']):
        return timm.create_model(arch, num_classes=0)
    network = Eva if named and is_model_in_modules(arch, ['eva']) else VisionTransformer
    vit = build_vit(network, arch, {})
    original = 'offset' if 'dino' in arch and vit.reg_token is None else 'antialiased'
    return VFMTower(vit, position or original)


def statistics(arch: str | dict) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation that the weights of a network expect.

    Args:
        arch: see `VFMTeacher`; a tower of ours is a CLIP.
    """
    if _is_ours(arch):
        return CLIP_MEAN, CLIP_STD
    config = timm.get_pretrained_cfg(arch) if isinstance(arch, str) else None
    return (config.mean, config.std) if config else (IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD)


def _is_ours(arch: str | dict) -> TypeGuard[dict]:
    return isinstance(arch, dict) and 'type' in arch


def _blocks(network: nn.Module) -> nn.Module:
    return network.vit.blocks if isinstance(network, ViTTower) else network.blocks


def _patch_size(network: nn.Module) -> int:
    return network.patch_size if isinstance(network, ViTTower) else network.patch_embed.patch_size[0]
