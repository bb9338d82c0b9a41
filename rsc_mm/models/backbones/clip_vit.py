from functools import partial

from timm.layers import LayerNorm
from timm.models.vision_transformer import VisionTransformer

from rsc_mm.registry import MODELS

from .networks import build_clip_vit
from .vit_tower import ViTTower

# What makes timm's VisionTransformer an OpenAI CLIP tower.
OPENAI_CLIP = dict(pre_norm=True, norm_layer=partial(LayerNorm, eps=1e-5), act_layer='quick_gelu',
                   global_pool='token')


@MODELS.register_module()
class CLIPViT(ViTTower):
    """The vision tower of OpenAI's CLIP (Radford et al., 2021), MetaCLIP and DFN, with a dense readout.

    The last block's fused query-key-value layer is held as three layers, so that what the readout leaves unused can
    be frozen: a zero gradient would still let weight decay shrink it.

    Args:
        arch: timm's name: 'vit_base_patch16_clip_quickgelu_224' for OpenAI's, MetaCLIP's and DFN's weights,
            'vit_base_patch16_clip_224' for LAION's (plain GELU); or a dict of timm's ``VisionTransformer`` arguments
            over the traits of OpenAI's CLIP.
        readout: dense readout, see `ViTTower`.
        out_indices: blocks whose maps `forward` returns, see `ViTTower`.
        frozen_stages: freezing by role, see `ViTTower`.
        with_cp: activation checkpointing.
        init_cfg: ``dict(type='Pretrained', checkpoint=PATH)``.
        compile: ``torch.compile`` per block, see `ViTTower`.
        windows: window attention of dense maps, see `ViTTower`.
    """

    public_keys = 'OpenAI'

    def __init__(self, arch: str | dict = 'vit_base_patch16_clip_quickgelu_224', readout: str | dict = 'value',
                 out_indices: tuple[int, ...] | None = None, frozen_stages: int = 0, with_cp: bool = False,
                 init_cfg: dict | None = None, compile: bool | dict = False,
                 windows: int = 1) -> None:
        vit = build_clip_vit(VisionTransformer, arch, OPENAI_CLIP)
        super().__init__(vit, readout, out_indices, frozen_stages, with_cp, init_cfg, compile, windows)
