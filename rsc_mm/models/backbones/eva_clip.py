from timm.models.eva import Eva

from rsc_mm.registry import MODELS

from .networks import build_clip_vit
from .vit_tower import ViTTower

# What makes timm's Eva an EVA-02-CLIP: RoPE beside the position embedding, SwiGLU, sub-LN, no key bias.
EVA02_CLIP = dict(mlp_ratio=8 / 3, swiglu_mlp=True, scale_mlp=True, scale_attn_inner=True,
                  use_rot_pos_emb=True, ref_feat_shape=(16, 16), global_pool='token')


@MODELS.register_module()
class EVACLIPViT(ViTTower):
    """EVA-02-CLIP's vision tower (Sun et al., EVA-CLIP, 2023) with a dense readout.

    ============================ ===== ===== ===== ===== ======= =========== =======
    arch                         width depth heads patch native  parameters  tensors
    ============================ ===== ===== ===== ===== ======= =========== =======
    eva02_base_patch16_clip_224    768    12    12    16     224  86,263,040     260
    eva02_large_patch14_clip_336  1024    24    16    14     336 304,432,832     512
    ============================ ===== ===== ===== ===== ======= =========== =======

    Args:
        arch: timm's name, or a dict of ``timm.models.eva.Eva`` arguments (img_size, patch_size, embed_dim = width C,
            depth, num_heads, num_classes = embedding D, ref_feat_shape ...) over the traits of EVA-02-CLIP.
        readout: dense readout, see `ViTTower`.
        out_indices: blocks whose maps `forward` returns, see `ViTTower`.
        frozen_stages: freezing by role, see `ViTTower`.
        with_cp: activation checkpointing.
        init_cfg: ``dict(type='Pretrained', checkpoint=PATH)``.
        compile: ``torch.compile`` per block, see `ViTTower`.
        windows: window attention of dense maps, see `ViTTower`.

    Examples:
        >>> import torch
        >>> tiny = dict(img_size=64, patch_size=8, embed_dim=192, depth=6, num_heads=3, num_classes=128,
        ...             ref_feat_shape=(8, 8))
        >>> weights = dict(type='Pretrained', checkpoint='projects/shapes_clip/shapes_clip.pt')
        >>> tower = EVACLIPViT(tiny, out_indices=(1, 3, 5), init_cfg=weights)
        >>> tower.init_weights()
        >>> tower.encode_dense(torch.zeros(1, 3, 64, 96)).shape, len(tower(torch.zeros(1, 3, 64, 96)))
        (torch.Size([1, 128, 8, 12]), 3)
    """

    public_keys = 'EVA-CLIP'

    def __init__(self, arch: str | dict = 'eva02_base_patch16_clip_224', readout: str | dict = 'value',
                 out_indices: tuple[int, ...] | None = None, frozen_stages: int = 0, with_cp: bool = False,
                 init_cfg: dict | None = None, compile: bool | dict = False,
                 windows: int = 1) -> None:
        vit = build_clip_vit(Eva, arch, EVA02_CLIP)
        super().__init__(vit, readout, out_indices, frozen_stages, with_cp, init_cfg, compile, windows)
