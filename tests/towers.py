"""Small towers and the golden tensors, for the tests of several folders."""
from pathlib import Path

import numpy as np
import torch

from rsc_mm.models import CLIPViT, EVACLIPViT

DATA = Path(__file__).parent / 'data'
GOLDEN_ARCH = dict(img_size=64, patch_size=16, embed_dim=48, depth=4, num_heads=3, num_classes=24,
                   ref_feat_shape=(4, 4))


def golden(prefix: str) -> dict[str, torch.Tensor]:
    """Tensors of the EVA-CLIP reference under 'sd/' (weights) or 'io/' (inputs and outputs)."""
    with np.load(DATA / 'eva_reference.npz') as file:
        return {key.removeprefix(prefix): torch.from_numpy(file[key]) for key in file if key.startswith(prefix)}


def tiny_eva(seed: int = 0, **kwargs: object) -> EVACLIPViT:
    """A random EVA tower of width 48 and depth 4, embedding size 24."""
    return randomize(EVACLIPViT(GOLDEN_ARCH, **kwargs), seed)


def tiny_vit(seed: int = 0, **kwargs: object) -> CLIPViT:
    """A random OpenAI-type tower of width 48 and depth 4, embedding size 24."""
    arch = {key: value for key, value in GOLDEN_ARCH.items() if key != 'ref_feat_shape'}
    return randomize(CLIPViT(arch, **kwargs), seed)


def randomize(tower: torch.nn.Module, seed: int) -> torch.nn.Module:
    """Weights large enough that no branch of the network is negligible."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in tower.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        scale = parameter.shape[-1] ** -0.5 if parameter.ndim > 1 else 0.1
        parameter.data = noise * scale + (1. if 'norm' in name and name.endswith('weight') else 0.)
    if type(tower) is CLIPViT:
        tower.vit.head.bias.data.zero_()  # OpenAI's projection has none
    return tower.eval()
