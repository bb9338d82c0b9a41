from .clip_vit import CLIPViT
from .eva_clip import EVACLIPViT
from .vit_tower import ViTTower

__all__ = ['CLIPViT', 'EVACLIPViT', 'ViTTower']
