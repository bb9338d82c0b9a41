from .clip_vit import CLIPViT
from .eva_clip import EVACLIPViT

__all__ = ['CLIPViT', 'EVACLIPViT']
