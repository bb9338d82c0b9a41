from .backbones import CLIPViT, EVACLIPViT

__all__ = ['CLIPViT', 'EVACLIPViT']
