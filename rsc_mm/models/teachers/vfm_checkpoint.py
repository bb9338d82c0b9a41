from importlib import import_module

import timm
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from rsc_mm.models.backbones.networks import build_vit
from rsc_mm.models.backbones.vit_tower import ViTTower
from rsc_mm.utils.checkpoint import CheckpointError, check_keys, read_checkpoint, split_qkv_weights, unwrap

# timm's Eva with a fused query-key-value projection holds its biases apart; ours, unfused, in the layers.
BIASES = {'.attn.q_bias': '.attn.q_proj.bias', '.attn.v_bias': '.attn.v_proj.bias'}


def load_vfm_checkpoint(network: nn.Module, arch: str | dict, path: str) -> None:
    """Load a vision foundation model strictly, from timm's or the original's file.

    Args:
        network: `ViTTower` or timm's SAM encoder.
        arch: timm's name, or arguments of timm's ``VisionTransformer``.
        path: file, or 'timm::NAME.TAG', the one form that downloads.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: the file does not fit, or the download failed.
    """
    state_dict = _download(path.removeprefix('timm::')) if path.startswith('timm::') else unwrap(read_checkpoint(path))
    with torch.device('meta'):
        original = (build_vit(VisionTransformer, arch, {}) if isinstance(arch, dict)
                    else timm.create_model(arch, num_classes=0))  # timm's converters look at shapes and names
    converters = import_module(type(original).__module__)
    weights = converters.checkpoint_filter_fn(state_dict, original)
    target = (network.vit if isinstance(network, ViTTower) else network).state_dict()
    weights = {_rename(key): value for key, value in weights.items() if not key.startswith('head.')}
    weights = split_qkv_weights(weights, target)
    target = {key: value for key, value in target.items() if not key.startswith('head.')}
    check_keys(weights, target, path, 'the teacher', "VFMTeacher's field 'arch'")
    (network.vit if isinstance(network, ViTTower) else network).load_state_dict(weights, strict=False)


def _rename(key: str) -> str:
    for old, new in BIASES.items():
        key = key.replace(old, new)
    return key


def _download(name: str) -> dict[str, torch.Tensor]:
    try:
        return timm.create_model(name, pretrained=True).state_dict()
    except Exception as error:  # the hub client raises its own types: no network, no such repository ...
        raise CheckpointError(f"checkpoint 'timm::{name}': the download failed ({type(error).__name__}: {error}); "
                              'fetch the file on a machine with network and give its path') from error
