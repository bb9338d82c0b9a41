"""CAT-Seg's public checkpoints: which of our keys each of theirs is.

The tables are facts of the format (detectron2; KU-CVLAB/CAT-Seg, CVPR 2024).
"""
import re

import torch

from rsc_mm.models.text.text_tower import text_weights
from rsc_mm.utils.checkpoint import CheckpointError, vision_weights

Weights = dict[str, torch.Tensor]

SOURCE = 'CAT-Seg checkpoint'
CLIP_PREFIX = 'sem_seg_head.predictor.clip_model.'
UPSAMPLERS = {'upsample1.': 'decode_head.upsamplers.0.', 'upsample2.': 'decode_head.upsamplers.1.'}
AGGREGATOR_PREFIX = 'sem_seg_head.predictor.transformer.'
# Applied in order; (\d) is the number of a layer or step, which the public names count from 1 in blocks and decoders.
AGGREGATOR = [
    (r'^layers\.(\d+)\.swin_block\.guidance_norm\.', r'spatial_layers.\1.guidance_norm.'),
    (r'^layers\.(\d+)\.swin_block\.block_1\.', r'spatial_layers.\1.blocks.0.'),
    (r'^layers\.(\d+)\.swin_block\.block_2\.', r'spatial_layers.\1.blocks.1.'),
    (r'^(spatial_layers\..+)\.attn\.', r'\1.'),
    (r'^(spatial_layers\..+)\.mlp\.fc1\.', r'\1.mlp.0.'),
    (r'^(spatial_layers\..+)\.mlp\.fc2\.', r'\1.mlp.2.'),
    (r'^layers\.(\d+)\.attention\.padding_tokens$', r'class_layers.\1.padding_token'),
    (r'^layers\.(\d+)\.attention\.attention\.', r'class_layers.\1.'),
    (r'^layers\.(\d+)\.attention\.MLP\.', r'class_layers.\1.mlp.'),
    (r'^layers\.(\d+)\.attention\.', r'class_layers.\1.'),
    (r'^conv1\.', 'cost_embedding.'),
    (r'^guidance_projection\.0\.', 'appearance_projection.'),
    (r'^text_guidance_projection\.0\.', 'text_projection.'),
    (r'^decoder_guidance_projection\.(\d)\.0\.', r'decoder_projections.\1.'),
    (r'^decoder1\.', 'decoder.steps.0.'),
    (r'^decoder2\.', 'decoder.steps.1.'),
    (r'^(decoder\..+)\.conv\.double_conv\.0\.', r'\1.conv1.'),
    (r'^(decoder\..+)\.conv\.double_conv\.1\.', r'\1.norm1.'),
    (r'^(decoder\..+)\.conv\.double_conv\.3\.', r'\1.conv2.'),
    (r'^(decoder\..+)\.conv\.double_conv\.4\.', r'\1.norm2.'),
    (r'^head\.', 'decoder.head.'),
]


def convert_catseg_aggregator(official_state_dict: Weights) -> Weights:
    """The public aggregator's weights in the key names of `CostAggregator`.

    The attention masks, which the public code saves, are constants and left out.

    Args:
        official_state_dict: of the public ``Aggregator``, or of a whole public model, of which the rest is left out.

    Returns:
        What `CostAggregator.load_state_dict` takes.

    Raises:
        CheckpointError: no aggregator is in it.
    """
    whole = any(key.startswith(AGGREGATOR_PREFIX) for key in official_state_dict)
    prefix = AGGREGATOR_PREFIX if whole else ''
    official = {key.removeprefix(prefix): value for key, value in official_state_dict.items() if key.startswith(prefix)}
    if 'conv1.weight' not in official or 'head.weight' not in official:
        raise CheckpointError(f'CAT-Seg aggregator: found the keys {sorted(official_state_dict)[:5]} ..., expected '
                              f"'conv1.weight' and 'head.weight', with the prefix {AGGREGATOR_PREFIX!r} or without")
    weights = {}
    for key, value in official.items():
        if not key.endswith('.attn_mask'):
            name, value = _rename(key), torch.as_tensor(value)
            weights[name] = value.flatten() if '.padding_' in name else value  # (1, 1, C) -> (C,)
    return weights


def convert_catseg(official_state_dict: Weights) -> Weights:
    """A whole public model (``model_base.pth``, ``model_large.pth``) in the key names of `CATSeg`.

    ===================================================== ===============================================
    ``sem_seg_head.predictor.clip_model.visual.*``        ``backbone.vit.*`` (OpenAI's names to timm's)
    ``sem_seg_head.predictor.clip_model.*``, the text     ``decode_head.vocabulary.text_encoder.tower.*``
    ``...attn.{q,k,v}_proj_weight``, ``in_proj_bias``     ``...attn.qkv.{q,k,v}.*``, text ``...attn.{q,k,v}.*``
    ``sem_seg_head.predictor.transformer.*``              ``decode_head.aggregator.*``, see `AGGREGATOR`
    ``upsample1.*``, ``upsample2.*``                      ``decode_head.upsamplers.{0,1}.*``
    ===================================================== ===============================================

    The model must be built on a `CLIPViT` with ``readout='value_cls'`` and QuickGELU in both towers.

    Args:
        official_state_dict: of the public model, unwrapped.

    Returns:
        What `CATSeg.load_state_dict` takes.

    Raises:
        CheckpointError: keys are of no part of the public model, or a part is missing.
    """
    known = (CLIP_PREFIX, AGGREGATOR_PREFIX, *UPSAMPLERS)
    unknown = [key for key in official_state_dict if not key.startswith(known)]
    if unknown:
        raise CheckpointError(f'{SOURCE}: unknown keys {unknown[:8]}; expected {CLIP_PREFIX}*, {AGGREGATOR_PREFIX}*, '
                              'upsample1.* and upsample2.*. The models of the first version, with a guidance backbone, '
                              'cannot be read')
    clip = _with_fused_projections({key.removeprefix(CLIP_PREFIX): value.float()
                                    for key, value in official_state_dict.items() if key.startswith(CLIP_PREFIX)})
    parts = {'backbone.vit.': _split(vision_weights(clip, SOURCE), '.attn.qkv.', '.attn.qkv.{}.'),
             'decode_head.vocabulary.text_encoder.tower.': _split(text_weights(clip, SOURCE), '.attn.in_proj_',
                                                                  '.attn.{}.'),
             'decode_head.aggregator.': convert_catseg_aggregator(official_state_dict)}
    for old, new in UPSAMPLERS.items():
        parts[new] = {key.removeprefix(old): value for key, value in official_state_dict.items() if key.startswith(old)}
    return {prefix + key: value for prefix, weights in parts.items() for key, value in weights.items()}


def _with_fused_projections(clip: Weights) -> Weights:
    """OpenAI's names again: the public code holds the three weights of ``in_proj_weight`` apart, the bias not."""
    fused = {}
    for key, value in clip.items():
        stem, _, part = key.rpartition('.')
        if part == 'q_proj_weight':
            fused[f'{stem}.in_proj_weight'] = torch.cat([clip[f'{stem}.{name}_proj_weight'] for name in 'qkv'])
        elif part not in ('k_proj_weight', 'v_proj_weight'):
            fused[key] = value
    return fused


def _split(weights: Weights, fused: str, parts: str) -> Weights:
    """Fused query-key-value tensors as three."""
    split = {}
    for key, value in weights.items():
        if fused in key:
            split.update({key.replace(fused, parts.format(name)): rows for name, rows in zip('qkv', value.chunk(3))})
        else:
            split[key] = value
    return split


def _rename(key: str) -> str:
    for pattern, replacement in AGGREGATOR:
        key = re.sub(pattern, replacement, key)
    return key
