"""A tower as a ``CLIPVisionModel`` folder, the form in which LLaVA and transformers take CLIP's image tower."""
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from rsc_mm.models.backbones import CLIPViT, ViTTower
from rsc_mm.utils.checkpoint import Weights, export_state_dict
from rsc_mm.utils.files import replacing
from rsc_mm.utils.tables import write_json

from .description import TowerDescription

# timm's activation -> the name in transformers. A wrong one loads without an error there.
ACTIVATIONS = {'QuickGELU': 'quick_gelu', 'GELU': 'gelu'}


def write_clip_vision_model(folder: str | Path, tower: ViTTower, description: TowerDescription,
                            projection: bool = False, overwrite: bool = False) -> None:
    """Write a folder that ``CLIPVisionModel.from_pretrained`` reads: config, weights, preprocessor.

    The image side of the folder is that of the tower's pre-training: transformers refuses images of another size
    unless it is told to resize positions. Dense readouts do not travel: transformers runs every block unchanged.

    Args:
        folder: made where it is not there.
        tower: `CLIPViT` with its weights.
        description: gives mean and standard deviation.
        projection: write a ``CLIPVisionModelWithProjection``, from which `load_clip_checkpoint` restores the tower;
            LLaVA needs none.
        overwrite: replace a folder that is there.

    Raises:
        FileExistsError: the folder holds a model and ``overwrite`` is not set.
        TypeError: the tower is of another kind, which ``CLIPVisionModel`` has no class for.
        ValueError: the head has a bias, or the readout has parameters of its own.
    """
    folder = Path(folder)
    weights, config = clip_vision_weights(tower), clip_vision_config(tower)
    if projection:
        config['architectures'] = ['CLIPVisionModelWithProjection']
    else:
        del weights['visual_projection.weight']
    if (folder / 'config.json').exists() and not overwrite:
        raise FileExistsError(f'{folder}: holds a model already; give another name, or --overwrite to replace it')
    with replacing(folder / 'model.safetensors') as beside:
        save_file(weights, beside, {'format': 'pt'})  # transformers 4 refuses a file without it
    write_json(folder / 'preprocessor_config.json', preprocessor_config(tower, description))
    write_json(folder / 'config.json', config)


def clip_vision_config(tower: ViTTower) -> dict[str, Any]:
    """The fields of transformers' ``CLIPVisionConfig``.

    Args:
        tower: `CLIPViT`.

    Raises:
        TypeError: the tower is of another kind.
    """
    _check_kind(tower)
    block = tower.vit.blocks[0]
    return dict(architectures=['CLIPVisionModel'], model_type='clip_vision_model', hidden_size=tower.width,
                intermediate_size=block.mlp.fc1.out_features, num_hidden_layers=tower.depth,
                num_attention_heads=block.attn.num_heads, image_size=tower.image_size, patch_size=tower.patch_size,
                num_channels=3, projection_dim=tower.embed_dim, hidden_act=ACTIVATIONS[type(block.mlp.act).__name__],
                layer_norm_eps=tower.vit.norm.eps, attention_dropout=0.0)


def clip_vision_weights(tower: ViTTower) -> Weights:
    """The weights in the key names of ``CLIPVisionModelWithProjection``, always with the prefix ``vision_model.``.

    transformers 4 takes keys without the prefix for those of another model and starts from random weights with a
    warning only; 5 reads both.

    Args:
        tower: `CLIPViT`.

    Raises:
        TypeError: the tower is of another kind.
        ValueError: the head has a bias, or the readout has parameters of its own: neither has a place there.
    """
    _check_kind(tower)
    if own := sorted(tower.readout.state_dict()):
        raise ValueError(f'readout {tower.readout_config!r}: found parameters of its own {own}, for which '
                         'CLIPVisionModel has no place; use the tower class of projects/llava')
    return export_state_dict(tower, 'transformers')


def preprocessor_config(tower: ViTTower, description: TowerDescription) -> dict[str, Any]:
    """The fields of transformers' ``CLIPImageProcessor``: shortest side to the native side, centre crop, bicubic.

    Args:
        tower: gives the side.
        description: gives mean and standard deviation.
    """
    side = tower.image_size
    return dict(image_processor_type='CLIPImageProcessor', do_resize=True, size={'shortest_edge': side}, resample=3,
                do_center_crop=True, crop_size={'height': side, 'width': side}, do_rescale=True,
                rescale_factor=1 / 255, do_normalize=True, image_mean=list(description.mean),
                image_std=list(description.std), do_convert_rgb=True)


def _check_kind(tower: torch.nn.Module) -> None:
    if not isinstance(tower, CLIPViT):
        raise TypeError(f'CLIPVisionModel: found a tower of type {type(tower).__name__}, expected CLIPViT; '
                        'transformers has no EVA-02-CLIP or other tower of ours: give LLaVA the tower class of '
                        'projects/llava/dense_clip_tower.py instead')
