import torch
from timm.models.vision_transformer import VisionTransformer

from rsc_mm.registry import MODELS

from .networks import build_vit
from .position import POSITION_RESIZES
from .vit_tower import ViTTower

# What makes timm's VisionTransformer a DINOv2 and a TIPSv2 tower.
DINOV2 = dict(num_classes=0, init_values=1e-5, global_pool='token')
TIPSV2 = dict(num_classes=0, init_values=1., global_pool='token', reg_tokens=1, no_embed_class=True)


@MODELS.register_module()
class DINOv2ViT(ViTTower):
    """DINOv2 (Oquab et al., 2023) as a student: the vision-only row of R-SC (R-SC-V, table 5).

    It has no text space: what needs text (alignment with nouns, region classification) has no meaning on it. Mean and
    standard deviation are ImageNet's.

    Args:
        arch: timm's name, such as 'vit_base_patch14_dinov2' or 'vit_base_patch14_reg4_dinov2', or a dict of timm's
            ``VisionTransformer`` arguments.
        readout: see `ViTTower`; 'vanilla' is the network as it is.
        out_indices: blocks whose maps `forward` returns, see `ViTTower`.
        frozen_stages: freezing by role, see `ViTTower`.
        with_cp: activation checkpointing.
        init_cfg: ``dict(type='Pretrained', checkpoint=PATH)``, timm's or the original's file.
    """

    def __init__(self, arch: str | dict = 'vit_base_patch14_dinov2', readout: str | dict = 'vanilla',
                 out_indices: tuple[int, ...] | None = None, frozen_stages: int = 0, with_cp: bool = False,
                 init_cfg: dict | None = None) -> None:
        super().__init__(build_vit(VisionTransformer, arch, DINOV2), readout, out_indices, frozen_stages, with_cp,
                         init_cfg)

    def resize_position(self, position: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
        """As the original code: with registers antialiased, without by the offset of 0.1.

        Args:
            position: (1, C, h0, w0).
            grid: the new height and width.

        Returns:
            (1, C, h, w).
        """
        return POSITION_RESIZES['offset' if self.vit.reg_token is None else 'antialiased'](position, grid)


@MODELS.register_module()
class TIPSViT(ViTTower):
    """The vision tower of TIPSv2 with a dense readout.

    It has two class tokens, which timm calls class token and register; the image embedding is the first, as timm reads
    it. Its images are not normalised: mean 0 and standard deviation 1. open_clip has no text tower for it: class
    embeddings come from a file.

    Args:
        arch: timm's name, such as 'vit_base_patch14_reg1_tipsv2' or 'vit_large_patch14_reg1_tipsv2', or a dict of
            timm's ``VisionTransformer`` arguments.
        readout: see `ViTTower`.
        out_indices: blocks whose maps `forward` returns, see `ViTTower`.
        frozen_stages: freezing by role, see `ViTTower`.
        with_cp: activation checkpointing.
        init_cfg: ``dict(type='Pretrained', checkpoint=PATH)``.
    """

    def __init__(self, arch: str | dict = 'vit_base_patch14_reg1_tipsv2', readout: str | dict = 'value',
                 out_indices: tuple[int, ...] | None = None, frozen_stages: int = 0, with_cp: bool = False,
                 init_cfg: dict | None = None) -> None:
        super().__init__(build_vit(VisionTransformer, arch, TIPSV2), readout, out_indices, frozen_stages, with_cp,
                         init_cfg)
