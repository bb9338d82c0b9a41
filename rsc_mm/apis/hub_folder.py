"""A folder that a model hub takes as it is: weights, what they are, and a model card."""
from pathlib import Path
from typing import Any

import open_clip
from safetensors.torch import save_file
from torch import nn

from rsc_mm.models.text.text_tower import text_fields, text_weights
from rsc_mm.utils.checkpoint import Weights, export_state_dict
from rsc_mm.utils.files import replacing
from rsc_mm.utils.tables import markdown_table, write_json

from .description import TowerDescription, encode_meta

OPEN_CLIP_WEIGHTS, OWN_WEIGHTS = 'open_clip_model.safetensors', 'model.safetensors'
NOT_STATED = 'not stated'
CARD_ROWS = {'recipe': 'recipe', 'data': 'data', 'original': 'original tower', 'teacher': 'teacher'}


def write_folder(folder: Path, tower: nn.Module, description: TowerDescription, text: Weights,
                 card: dict[str, Any]) -> None:
    """Weights, config.json, README.md (the model card), and open_clip_config.json where open_clip knows the network.

    `rsc_mm.load` reads the folder. open_clip reads it too (``open_clip.create_model('local-dir:FOLDER')``) if it holds
    a text tower, the readout has no parameters of its own, and the network is a ViT of OpenAI's kind or one that
    open_clip has a configuration of; there is one file of weights in either case.

    Args:
        folder: made where it is not there.
        tower: with its weights.
        description: of the tower.
        text: text tower and temperature, or nothing.
        card: ``recipe``, ``data``, ``original`` and ``teacher`` (with their licences), ``metrics`` (name -> number),
            ``licence``; what is missing is marked as not stated. `rsc_mm.apis.run_summary.summarise_run` gives it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config = open_clip_config(tower, description) if text else None
    weights = _own_weights(tower, text) if config is None else _open_clip_weights(tower, text, config)
    name = OWN_WEIGHTS if config is None else OPEN_CLIP_WEIGHTS
    for old in (OPEN_CLIP_WEIGHTS, OWN_WEIGHTS, 'open_clip_config.json'):  # of an earlier publication
        if old != name:
            (folder / old).unlink(missing_ok=True)
    meta = description.to_meta()
    with replacing(folder / name) as beside:
        save_file(weights, beside, encode_meta(meta))
    if config is not None:
        preprocess = dict(mean=list(description.mean), std=list(description.std), interpolation='bicubic',
                          resize_mode='longest', fill_color=0)
        write_json(folder / 'open_clip_config.json', dict(model_cfg=config, preprocess_cfg=preprocess))
    with replacing(folder / 'README.md') as beside:
        beside.write_text(model_card(folder.name, description, card, bool(text), config is not None), encoding='utf-8')
    write_json(folder / 'config.json', dict(rsc_mm=dict(weights=name, **meta)))  # last: the folder is whole


def open_clip_config(tower: nn.Module, description: TowerDescription) -> dict[str, Any] | None:
    """open_clip's configuration of the CLIP, or None where it has no such network.

    Args:
        tower: `EVACLIPViT` or `CLIPViT`.
        description: of the tower.
    """
    arch, text_arch = description.backbone['arch'], description.text_arch
    if text_arch is None or len(tower.readout.state_dict()):
        return None
    if isinstance(text_arch, str) and (known := open_clip.get_model_config(text_arch)):
        if known['vision_cfg'].get('timm_model_name') == arch:
            return known
    if description.backbone['type'] != 'CLIPViT':
        return None
    text, block = text_fields(text_arch), tower.vit.blocks[0]
    if text['quick_gelu'] != (type(block.mlp.act).__name__ == 'QuickGELU'):  # open_clip has one activation for both
        return None
    vision = dict(image_size=tower.image_size, patch_size=tower.patch_size, width=tower.width, layers=tower.depth,
                  head_width=tower.width // block.attn.num_heads, mlp_ratio=block.mlp.fc1.out_features / tower.width)
    text_cfg = {key: value for key, value in text.items() if key not in ('embed_dim', 'quick_gelu')}
    return dict(embed_dim=tower.embed_dim, quick_gelu=text['quick_gelu'], vision_cfg=vision, text_cfg=text_cfg)


def model_card(name: str, description: TowerDescription, card: dict[str, Any], has_text: bool,
               for_open_clip: bool) -> str:
    """The folder's README.md.

    Args:
        name: of the folder.
        description: of the tower.
        card: see `write_folder`.
        has_text: whether a text tower is among the weights.
        for_open_clip: whether open_clip reads the folder.
    """
    licence = card.get('licence') or NOT_STATED
    backbone, metrics = description.backbone, card.get('metrics') or {}
    given = ', '.join(f'{key}={value!r}' for key, value in backbone.items() if key != 'type')
    facts = [['tower', f'`{backbone["type"]}({given})`'], ['longest side of images', f'{description.image_size} px'],
             ['text tower', f'`{description.text_arch}`, {"in the file" if has_text else "not in the file"}'],
             *([title, str(card.get(key) or NOT_STATED)] for key, title in CARD_ROWS.items()),
             ['licence', f'{licence}; those of the original tower and of its teacher hold too']]
    lines = ['---', f'license: {"other" if licence == NOT_STATED else licence.lower()}', 'library_name: rsc_mm',
             'pipeline_tag: zero-shot-image-classification', 'tags: [clip, dense, open-vocabulary]', '---', '',
             f'# {name}', '', 'A dense CLIP image tower: its feature map names boxes and masks by any text.', '',
             '```python', 'import rsc_mm', f"model = rsc_mm.load('{name}')  # this folder",
             "model.class_map('photo.jpg', ['sky', 'dog; puppy', 'grass']).save('map.png')", '```', '']
    if for_open_clip:
        lines += ['The image and text embeddings in open_clip, without the dense readout:', '', '```python',
                  'import open_clip', f"model = open_clip.create_model('local-dir:{name}')", '```', '']
    lines += [markdown_table(['', ''], facts), '', '## Measured', '']
    lines += [markdown_table(['metric', 'value'], [[key, f'{value:.4g}'] for key, value in metrics.items()])
              if metrics else f'{NOT_STATED.capitalize()}.', '']
    return '\n'.join(lines)


def portable_text(text: Weights, source: str = 'the text tower') -> Weights:
    """Text tower as ``text.*`` and temperature, whatever the original's layout.

    Args:
        text: see `read_text`.
        source: how messages name it.
    """
    if not text:
        return {}
    tower = {f'text.{key}': value.contiguous() for key, value in text_weights(text, source).items()}
    return {**tower, **_scales(text)}


def _own_weights(tower: nn.Module, text: Weights) -> Weights:
    return {**export_state_dict(tower, 'ours'), **portable_text(text)}


def _open_clip_weights(tower: nn.Module, text: Weights, config: dict[str, Any]) -> Weights:
    scales = _scales(text)
    words = {key: value.contiguous() for key, value in text_weights(text, 'the text tower').items()}
    if 'timm_model_name' in config['vision_cfg']:
        image = {f'visual.trunk.{key.removeprefix("vit.")}': value
                 for key, value in export_state_dict(tower, 'ours').items()}
        return {**image, **{f'text.{key}': value for key, value in words.items()}, **scales}
    return {**export_state_dict(tower, 'clip'), **words, **scales}  # open_clip's flat layout


def _scales(text: Weights) -> Weights:
    return {key: value for key, value in text.items() if key in ('logit_scale', 'logit_bias')}
