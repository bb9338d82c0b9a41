"""timm's networks for the towers."""
from typing import Any

import timm
from timm.models import is_model_in_modules
from timm.models.eva import Eva
from torch import nn

# Width C -> embedding D of the published CLIP towers: B, L, H and g, G (timm's names do not all carry it).
CLIP_EMBED_DIMS = {768: 512, 1024: 768, 1280: 1024, 1408: 1024, 1664: 1280}


def build_vit(network: type[nn.Module], arch: str | dict[str, Any], traits: dict[str, Any]) -> nn.Module:
    """timm's network for a name, or for its own arguments, ready for a `ViTTower`.

    Args:
        network: timm's class; a named network must be one.
        arch: timm's name ('eva02_base_patch16_clip_224') or a dict of the class's arguments.
        traits: defaults beneath a dict.

    Raises:
        ValueError: timm has no such name, or it is another kind of network.
        TypeError: an argument in the dict is not one of timm's.
    """
    fixed = {'dynamic_img_size': True, **({'qkv_fused': False} if issubclass(network, Eva) else {})}
    if isinstance(arch, dict):
        return network(**{**traits, **arch, **fixed})
    if not timm.is_model(arch):
        raise ValueError(f"backbone field 'arch': found {arch!r}, expected a network name of timm {timm.__version__}, "
                         f'such as {timm.list_models("*clip_224")[:4]}, or a dict of its arguments')
    if not is_model_in_modules(arch, [network.__module__.rpartition('.')[2]]):
        raise ValueError(f"backbone field 'arch': found {arch!r}, expected one of timm's {network.__name__} networks, "
                         'or a dict of its arguments')
    return timm.create_model(arch, **fixed)


def build_clip_vit(network: type[nn.Module], arch: str | dict[str, Any], traits: dict[str, Any]) -> nn.Module:
    """timm's network of a CLIP tower: one class token, absolute positions, a linear head to the embedding size.

    Args:
        network: timm's class.
        arch: see `build_vit`; a name is given the head of the published tower of its width.
        traits: defaults beneath a dict.

    Raises:
        ValueError: it is no CLIP tower, or timm has no such name.
        TypeError: an argument in the dict is not one of timm's.
    """
    vit = build_vit(network, arch, traits)
    if not isinstance(arch, dict):
        if vit.embed_dim not in CLIP_EMBED_DIMS:
            raise ValueError(f"backbone field 'arch': {arch!r} has the width {vit.embed_dim}, expected one of "
                             f'{sorted(CLIP_EMBED_DIMS)}; or give a dict')
        vit.reset_classifier(CLIP_EMBED_DIMS[vit.embed_dim])
    block = vit.blocks[0]
    scaled = getattr(block, 'gamma_1', None) is not None or not isinstance(getattr(block, 'ls1', nn.Identity()),
                                                                           nn.Identity)
    if vit.num_prefix_tokens != 1 or vit.pos_embed is None or scaled or not isinstance(vit.head, nn.Linear):
        raise ValueError(f"backbone field 'arch': found {arch!r}, expected a CLIP tower: one class token, a position "
                         'embedding, no LayerScale, and a linear head (num_classes = embedding size)')
    return vit
