"""CAT-Seg's public checkpoints: which of our keys each of theirs is.

The tables are facts of the format (detectron2; KU-CVLAB/CAT-Seg, CVPR 2024).
"""
import re

import torch

from rsc_mm.utils.checkpoint import CheckpointError

Weights = dict[str, torch.Tensor]

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
            name = _rename(key)
            weights[name] = value.flatten() if '.padding_' in name else value  # (1, 1, C) -> (C,)
    return weights


def _rename(key: str) -> str:
    for pattern, replacement in AGGREGATOR:
        key = re.sub(pattern, replacement, key)
    return key
