from .clip_vit import CLIPViT
from .dino_vit import DINOv2ViT, TIPSViT
from .eva_clip import EVACLIPViT
from .pooled_tower import PECoreViT, PooledViTTower, SigLIPViT
from .vit_tower import ViTTower

__all__ = ['CLIPViT', 'DINOv2ViT', 'EVACLIPViT', 'PECoreViT', 'PooledViTTower', 'SigLIPViT', 'TIPSViT', 'ViTTower']
