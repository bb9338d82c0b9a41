import torch
from timm.models.eva import Eva
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from rsc_mm.registry import MODELS

from .networks import build_vit
from .pooling import PoolBlock, PoolMLP, PoolValue, SplitKV
from .position import resize_bilinear
from .vit_tower import ViTTower

# What makes timm's VisionTransformer a SigLIP, and its Eva a PE-Core tower.
SIGLIP = dict(class_token=False, global_pool='map', num_classes=0)
PE_CORE = dict(attn_type='rope', use_pre_transformer_norm=True, use_rot_pos_emb=True, ref_feat_shape=(24, 24),
               rope_grid_offset=1., rope_grid_indexing='xy', global_pool='map')


class PooledViTTower(ViTTower):
    r"""A tower whose image embedding is pooled by attention (SigLIP, PE-Core); base class.

    No token of the blocks stands for the image, so all blocks stay whole. The last attention that was trained for one
    row only is the pooling's, and there the readouts of one block work: with x after the final norm, the value path is

    .. math:: y_i = \mathrm{proj}(W_v\,x_i), \quad \text{dense}_i = \mathrm{head}(y_i + \mathrm{MLP}(\mathrm{LN}(y_i)))

    which of an image of one token, without class token, is the image embedding itself. qq, kk, csa ... attend by the
    pooling's own projections of the tokens. Other readouts (``in_pooling = False``: hsg, vanilla) read the blocks, and
    their tokens pass the final norm and the value path; with 'vanilla' that is the map of 'value' again.

    Latent query and what a readout leaves unused are frozen; values, projection and MLP of the pooling train with the
    blocks. The fields are those of `ViTTower`.

    Args:
        vit: timm's network with ``global_pool='map'``.
        readout: see `ViTTower`.
        out_indices: see `ViTTower`.
        frozen_stages: see `ViTTower`.
        with_cp: see `ViTTower`.
        init_cfg: see `ViTTower`.

    Raises:
        ValueError: the network has no attention pooling, or a field is out of its range.
    """

    def __init__(self, vit: nn.Module, readout: str | dict, out_indices: tuple[int, ...] | None, frozen_stages: int,
                 with_cp: bool, init_cfg: dict | None) -> None:
        if vit.attn_pool is None:
            raise ValueError(f"{type(self).__name__} field 'arch': found a network with global_pool="
                             f"{vit.global_pool!r}, expected 'map', pooling by attention")
        vit.attn_pool.kv = SplitKV(vit.attn_pool.kv)
        super().__init__(vit, readout, out_indices, frozen_stages, with_cp, init_cfg)

    def readable_blocks(self) -> nn.ModuleList:
        """The blocks, and after them the pooling where the readout works there."""
        blocks = super().readable_blocks()
        pooling = [PoolBlock(self.vit.norm, self.vit.attn_pool)] if self.readout.in_pooling else []
        return nn.ModuleList([*blocks, *pooling])

    def final_norm(self) -> nn.Module:
        """The final norm; none where the readout worked in the pooling, which reads normed tokens."""
        return nn.Identity() if self.readout.in_pooling else super().final_norm()

    def dense_head(self) -> nn.Module:
        """What is left of the pooling after the readout, and the head."""
        pool = self.vit.attn_pool
        value = [] if self.readout.in_pooling else [PoolValue(pool)]
        return nn.Sequential(*value, PoolMLP(pool), super().dense_head())

    def trained_parts(self) -> list[nn.Module]:
        """The blocks and the pooling."""
        return [*super().trained_parts(), self.vit.attn_pool]

    def unused_parts(self) -> list[nn.Module | nn.Parameter]:
        """What the readout leaves unused, the latent query, and without a readout in the pooling its keys."""
        pool = self.vit.attn_pool
        keys = [] if self.readout.in_pooling else [pool.q, pool.kv.k, pool.q_norm, pool.k_norm]
        return [*super().unused_parts(), pool.latent, *keys]


@MODELS.register_module()
class SigLIPViT(PooledViTTower):
    """The vision tower of SigLIP and SigLIP 2 (Zhai et al., ICCV 2023; Tschannen et al., 2025) with a dense readout.

    Both share timm's networks and differ by weights and text tower. Mean and standard deviation are 0.5 for all
    channels. No class token, hence no FC_CLS in a `Refiner`.

    Args:
        arch: timm's name, such as 'vit_base_patch16_siglip_224' or 'vit_so400m_patch14_siglip_378', or a dict of
            timm's ``VisionTransformer`` arguments over SigLIP's traits. Not the '_gap_' networks, which have no text
            space.
        readout: see `PooledViTTower`.
        out_indices: blocks whose maps `forward` returns, see `ViTTower`.
        frozen_stages: freezing by role, see `ViTTower`.
        with_cp: activation checkpointing.
        init_cfg: ``dict(type='Pretrained', checkpoint=PATH)``.
    """

    def __init__(self, arch: str | dict = 'vit_base_patch16_siglip_224', readout: str | dict = 'value',
                 out_indices: tuple[int, ...] | None = None, frozen_stages: int = 0, with_cp: bool = False,
                 init_cfg: dict | None = None) -> None:
        super().__init__(build_vit(VisionTransformer, arch, SIGLIP), readout, out_indices, frozen_stages, with_cp,
                         init_cfg)


@MODELS.register_module()
class PECoreViT(PooledViTTower):
    """The vision tower of PE-Core (Perception Encoder, Bolya et al., 2025) with a dense readout.

    Mean and standard deviation are 0.5 for all channels; the position embedding is resized bilinearly, as the public
    code does. The class token of the sizes that have one is pooled like a patch; it has no part in the dense map.

    Args:
        arch: timm's name, such as 'vit_pe_core_base_patch16_224' or 'vit_pe_core_large_patch14_336', or a dict of
            timm's ``Eva`` arguments over PE-Core's traits.
        readout: see `PooledViTTower`.
        out_indices: blocks whose maps `forward` returns, see `ViTTower`.
        frozen_stages: freezing by role, see `ViTTower`.
        with_cp: activation checkpointing.
        init_cfg: ``dict(type='Pretrained', checkpoint=PATH)``.
    """

    def __init__(self, arch: str | dict = 'vit_pe_core_base_patch16_224', readout: str | dict = 'value',
                 out_indices: tuple[int, ...] | None = None, frozen_stages: int = 0, with_cp: bool = False,
                 init_cfg: dict | None = None) -> None:
        super().__init__(build_vit(Eva, arch, PE_CORE), readout, out_indices, frozen_stages, with_cp, init_cfg)

    def resize_position(self, position: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
        """Bilinear, as the public code.

        Args:
            position: (1, C, h0, w0).
            grid: the new height and width.

        Returns:
            (1, C, h, w).
        """
        return resize_bilinear(position, grid)
