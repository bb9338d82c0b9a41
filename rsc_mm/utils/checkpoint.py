"""CLIP checkpoints of every public format in, the fine-tuned tower out again.

The key tables below are facts of the formats:

=================== ========================= =============================================== ===================
format              key prefix                attention and MLP names                         written by
=================== ========================= =============================================== ===================
EVA-CLIP original   ``visual.``               q_proj + q_bias, inner_attn_ln, w1 w2 ffn_ln w3 EVA, CLIPSelf, DeCLIP
OpenAI, open_clip   ``visual.``               in_proj, out_proj, c_fc, c_proj                 OpenAI, MetaCLIP, DFN
open_clip with timm ``visual.trunk.``         timm's                                          open_clip's EVA02
timm                none                      timm's                                          timm
transformers        ``vision_model.``         q_proj, k_proj, v_proj, layer_norm1, fc1        transformers, LLaVA
ours                ``vit.``/``backbone.vit.`` timm's                                         this package
=================== ========================= =============================================== ===================
"""
import json
import re
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .checkpoint_reader import CheckpointError, Weights, read_checkpoint, trust_checkpoint, unwrap

__all__ = ['CheckpointError', 'Weights', 'check_keys', 'checkpoint_meta', 'export_state_dict', 'load_clip_checkpoint',
           'not_finite', 'read_checkpoint', 'trust_checkpoint', 'unwrap', 'vision_weights']

# Applied in order to keys without prefix; `freqs_` are caches of the rotary embedding.
EVA_TO_TIMM = [('.attn.q_bias', '.attn.q_proj.bias'), ('.attn.v_bias', '.attn.v_proj.bias'),
               ('.attn.inner_attn_ln.', '.attn.norm.'), ('.mlp.w1.', '.mlp.fc1_g.'), ('.mlp.w2.', '.mlp.fc1_x.'),
               ('.mlp.ffn_ln.', '.mlp.norm.'), ('.mlp.w3.', '.mlp.fc2.')]
OPENAI_TO_TIMM = [('conv1.', 'patch_embed.proj.'), ('class_embedding', 'cls_token'),
                  ('positional_embedding', 'pos_embed'), ('transformer.resblocks.', 'blocks.'),
                  ('ln_pre.', 'norm_pre.'), ('ln_post.', 'norm.'), ('.ln_1.', '.norm1.'), ('.ln_2.', '.norm2.'),
                  ('.attn.in_proj_', '.attn.qkv.'), ('.attn.out_proj.', '.attn.proj.'), ('.mlp.c_fc.', '.mlp.fc1.'),
                  ('.mlp.c_proj.', '.mlp.fc2.')]
TRANSFORMERS_TO_TIMM = [('embeddings.class_embedding', 'cls_token'),
                        ('embeddings.position_embedding.weight', 'pos_embed'),
                        ('embeddings.patch_embedding.', 'patch_embed.proj.'), ('encoder.layers.', 'blocks.'),
                        ('pre_layrnorm.', 'norm_pre.'), ('post_layernorm.', 'norm.'),  # the first is theirs: layrnorm
                        ('.layer_norm1.', '.norm1.'), ('.layer_norm2.', '.norm2.'),
                        ('.self_attn.out_proj.', '.attn.proj.'), *((f'.self_attn.{part}_proj.', f'.attn.qkv.{part}.')
                                                                   for part in 'qkv')]
# The rest of a whole CLIP: text tower, temperature, and the sizes that OpenAI's archives carry.
NOT_VISION = ('text.', 'transformer.', 'token_embedding.', 'positional_embedding', 'text_projection', 'ln_final.',
              'logit_scale', 'logit_bias', 'input_resolution', 'context_length', 'vocab_size')


def load_clip_checkpoint(backbone: nn.Module, checkpoint: str | Path | dict,
                         readout: str | dict | None = None) -> None:
    """Load a CLIP vision tower strictly, whatever format it was saved in.

    A file that was saved without a readout, as public CLIP weights are, leaves a readout's own parameters unchanged.

    Args:
        backbone: a `ViTTower`.
        checkpoint: a file (.pt, .pth, .safetensors, OpenAI's TorchScript archive), a state dict (wrapped in
            ``model``, ``module`` or ``state_dict`` or not), or 'open_clip::MODEL/TAG', the one form that downloads.
        readout: the readout that the file was saved with, to start another one from it; default: the backbone's.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: keys are missing, unknown or of another shape (all named), the file is no checkpoint, or it
            was saved with another readout than the backbone's.
    """
    source = 'the given state dict' if isinstance(checkpoint, dict) else str(checkpoint)
    content = checkpoint if isinstance(checkpoint, dict) else read_checkpoint(checkpoint)
    saved = saved_readout(content)
    _check_readout(backbone, saved, readout, source)
    state_dict = unwrap(content)
    target, own = backbone.vit.state_dict(), readout_weights(state_dict)
    weights = split_qkv_weights(vision_weights(state_dict, source), target)
    check_keys(weights, target, source)
    if readout is None and (own or saved is not None):
        check_keys(own, backbone.readout.state_dict(), source, 'the readout', "the backbone's field 'readout'")
        backbone.readout.load_state_dict(own)
    backbone.vit.load_state_dict(weights)


def vision_weights(state_dict: Weights, source: str) -> Weights:
    """The vision tower of a state dict in timm's key names.

    Args:
        state_dict: unwrapped, in any format of this module's table.
        source: how messages name it.

    Raises:
        CheckpointError: no format is recognised, or a key belongs to none of CLIP's parts.
    """
    if 'vision_model.embeddings.class_embedding' in state_dict:
        return _transformers_weights(state_dict)
    for prefix in ('backbone.vit.', 'vit.', 'visual.trunk.', 'visual.', ''):
        weights = {key.removeprefix(prefix): value for key, value in state_dict.items() if key.startswith(prefix)}
        if {'patch_embed.proj.weight', 'class_embedding'} & weights.keys():
            break
    else:
        raise CheckpointError(f'{source}: found no vision tower in the keys {sorted(state_dict)[:5]} ...; expected '
                              "'visual.class_embedding', or 'patch_embed.proj.weight' after 'visual.', "
                              "'visual.trunk.', 'vit.', 'backbone.vit.' or nothing")
    if prefix.startswith('visual.'):
        unknown = [key for key in state_dict if not key.startswith((prefix, *NOT_VISION))]
        if unknown:
            raise CheckpointError(f'{source}: unknown keys {unknown[:10]}; expected {prefix}* and the text tower')
    table = OPENAI_TO_TIMM if 'class_embedding' in weights else EVA_TO_TIMM
    weights = {_rename(key, table): value for key, value in weights.items()
               if 'rope.' not in key and not key.startswith('readout.')}
    return _openai_shapes(weights) if 'proj' in weights else weights


def readout_weights(state_dict: Weights) -> Weights:
    """The readout's own parameters in a state dict, in the readout's key names.

    Args:
        state_dict: unwrapped, in a layout that `export_state_dict` or a training writes.
    """
    found = {key: re.match(r'(?:backbone\.|visual\.)?readout\.(.+)', key) for key in state_dict}
    return {match[1]: state_dict[key] for key, match in found.items() if match}


def export_state_dict(backbone: nn.Module, layout: str) -> Weights:
    """The tower's weights in one of the public key layouts, and the readout's own beside them, as ``readout.*``.

    Args:
        backbone: a `ViTTower`.
        layout: 'ours' (``vit.*``), 'mmdet' (``backbone.vit.*``), 'clip' (``visual.*`` in the names of the tower's
            original code: EVA-CLIP's for `EVACLIPViT`, OpenAI's for `CLIPViT`; open_clip's for the others) or
            'transformers' (``vision_model.*``, `CLIPViT` without parameters in the readout only).

    Raises:
        ValueError: there is no such layout.
    """
    if layout not in (prefixes := {'ours': '', 'mmdet': 'backbone.', 'clip': 'visual.', 'transformers': ''}):
        raise ValueError(f'layout: found {layout!r}, expected one of {list(prefixes)}')
    prefix = prefixes[layout]
    weights, own = ({key: value.detach().cpu().contiguous() for key, value in module.state_dict().items()}
                    for module in (backbone.vit, backbone.readout))
    own = {f'{prefix}readout.{key}': value for key, value in own.items()}
    weights = _fuse_qkv(weights)
    if layout == 'transformers':
        return _transformers_weights_inverse(weights)
    if layout != 'clip':
        return {**{f'{prefix}vit.{key}': value for key, value in weights.items()}, **own}
    if backbone.public_keys == 'open_clip':
        return {**{f'visual.trunk.{key}': value for key, value in weights.items()}, **own}
    openai = backbone.public_keys == 'OpenAI'
    weights = _openai_shapes_inverse(weights) if openai else weights
    table = [(new, old) for old, new in (OPENAI_TO_TIMM if openai else EVA_TO_TIMM)]
    return {**{prefix + _rename(key, table): value for key, value in weights.items()}, **own}


def checkpoint_meta(backbone: nn.Module) -> dict[str, Any]:
    """What must travel with the weights: the tower's class, and its readout with all its fields.

    Args:
        backbone: a `ViTTower`.
    """
    return {'backbone': type(backbone).__name__, 'readout': backbone.readout_config}


def check_keys(weights: Weights, target: Weights, source: str, part: str = 'the tower',
               fields: str = "the backbone's type and its field 'arch'") -> None:
    """Refuse weights that do not fit, and name every key.

    Args:
        weights: what a file holds.
        target: the module's own state dict.
        source: how the message names the file.
        part: how it names the module.
        fields: what it tells to check.

    Raises:
        CheckpointError: keys are missing, unknown or of another shape, or values are infinite or not a number.
    """
    problems = []
    if missing := sorted(target.keys() - weights.keys()):
        problems.append(f'missing keys {_some(missing)}')
    if unknown := sorted(weights.keys() - target.keys()):
        problems.append(f'unknown keys {_some(unknown)}')
    shapes = [f'{key} is {tuple(weights[key].shape)}, expected {tuple(value.shape)}'
              for key, value in target.items() if key in weights and weights[key].shape != value.shape]
    if shapes:
        problems.append('other shapes: ' + _some(shapes))
    if ruined := not_finite(weights):
        problems.append(f'values that are not finite in {_some(ruined)}')
    if problems:
        raise CheckpointError(f"{source} does not fit {part}: {'; '.join(problems)}. Check {fields}")


def not_finite(weights: Weights) -> list[str]:
    """Keys of the tensors that hold an infinite value or one that is not a number.

    Args:
        weights: a state dict.
    """
    return [key for key, value in weights.items()
            if isinstance(value, torch.Tensor) and value.is_floating_point() and not value.isfinite().all()]


def _rename(key: str, table: list[tuple[str, str]]) -> str:
    for old, new in table:
        # Whole names at the start of the key, parts of it elsewhere: 'conv1.' but not 'xconv1.'.
        key = key.replace(old, new) if old.startswith('.') else re.sub('^' + re.escape(old), new, key)
    return key


def _openai_shapes(weights: Weights) -> Weights:
    """OpenAI's projection (C, D), class token (C) and position embedding (1+N, C) in timm's shapes."""
    head = weights.pop('proj').t().contiguous()  # (D, C)
    weights['cls_token'] = weights['cls_token'].reshape(1, 1, -1)  # (1, 1, C)
    weights['pos_embed'] = weights['pos_embed'][None]
    return {**weights, 'head.weight': head, 'head.bias': torch.zeros(len(head), dtype=head.dtype)}


def _openai_shapes_inverse(weights: Weights) -> Weights:
    weights = dict(weights)
    weights['proj'] = weights.pop('head.weight').t().contiguous()  # (C, D)
    if weights.pop('head.bias').abs().max() > 0:
        raise ValueError("layout 'clip': the head has a bias, which OpenAI's format cannot hold; use 'ours' or 'mmdet'")
    weights['cls_token'] = weights['cls_token'].flatten()  # (C,)
    weights['pos_embed'] = weights['pos_embed'][0]
    return weights


def _transformers_weights(state_dict: Weights) -> Weights:
    """``CLIPVisionModelWithProjection`` in timm's key names."""
    prefix = 'vision_model.'
    weights = {_rename(key.removeprefix(prefix), TRANSFORMERS_TO_TIMM): value for key, value in state_dict.items()
               if key.startswith(prefix) and not key.endswith('.position_ids')}  # position_ids: a constant of old files
    if 'visual_projection.weight' in state_dict:
        weights['proj'] = state_dict['visual_projection.weight'].t()  # (C, D), as OpenAI's
        weights = _openai_shapes(weights)
    return _fuse_qkv(weights)


def _transformers_weights_inverse(weights: Weights) -> Weights:
    weights = _openai_shapes_inverse(weights)
    head = {'visual_projection.weight': weights.pop('proj').t().contiguous()}  # (D, C)
    parts = {}
    for key, value in weights.items():
        stem, fused, kind = key.rpartition('.attn.qkv.')
        parts.update({f'{stem}.attn.qkv.{part}.{kind}': rows.contiguous() for part, rows in zip('qkv', value.chunk(3))}
                     if fused else {key: value})
    table = [(new, old) for old, new in TRANSFORMERS_TO_TIMM]
    return {**{'vision_model.' + _rename(key, table): value for key, value in parts.items()}, **head}


def split_qkv_weights(weights: Weights, target: Weights) -> Weights:
    """A fused query-key-value layer as three where the tower holds it so: a ViT's last block, all blocks of an Eva,
    and the key-value layer of an attention pooling.

    Args:
        weights: in timm's key names.
        target: the tower's own state dict.
    """
    split = {}
    for key, value in weights.items():
        stem, _, kind = key.rpartition('.')
        letters = 'kv' if stem.endswith('.kv') else 'qkv'
        names = [f'{stem}.{{}}.{kind}', f"{stem.removesuffix('qkv')}{{}}_proj.{kind}"]
        name = next((name for name in names if key not in target and name.format('v') in target), None)
        rows = value.chunk(len(letters)) if name else ()
        parts = {name.format(letter): part for letter, part in zip(letters, rows)} if name else {key: value}
        split.update(parts)
    return split


def _fuse_qkv(weights: Weights) -> Weights:
    fused = OrderedDict()
    for key, value in weights.items():
        part = re.search(r'\.(attn\.qkv|attn_pool\.kv)\.([qkv])\.', '.' + key)
        if part is None:
            fused[key] = value
        elif part[2] == part[1].rpartition('.')[2][0]:  # the first of its letters stands for all
            layer, first = part[1], part[2]
            rows = [weights[key.replace(f'{layer}.{first}.', f'{layer}.{letter}.')]
                    for letter in layer.rpartition('.')[2]]
            fused[key.replace(f'{layer}.{first}.', f'{layer}.')] = torch.cat(rows)
    return fused


def saved_readout(content: dict) -> str | dict | None:
    """The readout that a checkpoint was saved with, as `checkpoint_meta` wrote it; None for a foreign file.

    Args:
        content: what a checkpoint file holds.
    """
    meta = content.get('meta')
    saved = meta.get('readout') if isinstance(meta, dict) else None
    # safetensors holds nothing but strings
    return json.loads(saved) if isinstance(saved, str) and saved.startswith('{') else saved


def _check_readout(backbone: nn.Module, saved: str | dict | None, allowed: str | dict | None, source: str) -> None:
    expected = backbone.readout_config if allowed is None else allowed
    if saved not in (None, expected):
        raise CheckpointError(f'{source}: was trained with readout {saved!r}, but the backbone has readout='
                              f"{backbone.readout_config!r}; set the backbone's field readout={saved!r}, or "
                              f'init_cfg=dict(..., readout={saved!r}) to start this readout from those weights')


def _some(items: list[str], count: int = 8) -> str:
    more = f' and {len(items) - count} more' if len(items) > count else ''
    return ', '.join(items[:count]) + more
