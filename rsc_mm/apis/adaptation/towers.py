"""Which tower a file of weights or an open_clip tag is."""
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmengine.config import Config

from rsc_mm.apis.config import load_config
from rsc_mm.apis.description import TowerDescription
from rsc_mm.apis.loading import read_published
from rsc_mm.registry import MODELS
from rsc_mm.utils.checkpoint import CheckpointError

from .recipe import CONFIGS

# open_clip's name -> the configuration that describes the tower.
NAMED = {'EVA02-B-16': 'clipself/clipself_vitb16_coco_patches.py',
         'EVA02-L-14-336': 'clipself/clipself_vitl14_coco_patches.py',
         'ViT-B-16-quickgelu': 'rsc/r_sc_clipself_openai_vitb16.py',
         'ViT-B-16-SigLIP2': 'clipself/clipself_siglip2_vitb16_coco_proposals.py',
         'PE-Core-B-16': 'clipself/clipself_pe_core_vitb16_coco_proposals.py'}
TAG = 'open_clip::'


def describe_tower(clip: str, config: str | Path | None = None, image_size: int | None = None) -> TowerDescription:
    """Architecture, readout, image size, normalisation and text tower.

    Args:
        clip: a published file, which says it itself; an open_clip tag ('open_clip::MODEL/TAG') of a model in `NAMED`;
            any other CLIP file with ``config``.
        config: a configuration whose ``model.backbone`` is the tower.
        image_size: longest side in pixels, in the place of the described one; default: that, or 64 patches.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the tower has no text tower, or the tag is of another model.
        CheckpointError: the file does not say what it is, and no configuration was given.
    """
    if config:
        described = TowerDescription.from_config(load_config(config))
    elif clip.startswith(TAG):
        name = clip.removeprefix(TAG).partition('/')[0]
        if name not in NAMED:
            raise ValueError(f'--clip {clip}: found the model {name!r}, expected one of {sorted(NAMED)}, or give the '
                             'configuration whose model.backbone is the tower: --config CONFIG')
        described = TowerDescription.from_config(load_config(CONFIGS / NAMED[name]))
    else:
        try:
            described = read_published(Path(clip))[0]
        except CheckpointError as error:
            raise CheckpointError(f'--clip: {error}. Here: give that configuration by --config') from error
    if described.text_arch is None:
        raise ValueError(f'--clip {clip}: found no text tower in its description, expected a CLIP whose names the '
                         'report compares; a configuration with class_embeddings.text_encoder says it: --config CONFIG')
    patch = build_tower(described).patch_size
    return replace(described, image_size=image_size or described.image_size or 64 * patch)


def build_tower(described: TowerDescription, clip: str | None = None) -> Any:
    """The tower, with its weights if they are given.

    Args:
        described: see `describe_tower`.
        clip: its weights.
    """
    init_cfg = clip and dict(type='Pretrained', checkpoint=clip)
    tower = MODELS.build({**Config(dict(tower=described.backbone)).tower, 'init_cfg': init_cfg, '_scope_': 'rsc_mm'})
    if clip:
        tower.init_weights()
    return tower
