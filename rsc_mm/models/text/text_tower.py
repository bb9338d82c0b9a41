"""The parts of a text tower: its fields, network, tokens, and its weights in any public checkpoint."""
import difflib
from functools import partial
from pathlib import Path

import open_clip
import torch
from open_clip.transformer import LayerNorm, QuickGELU, TextTransformer
from torch import nn

from rsc_mm.utils.checkpoint import CheckpointError, Weights, read_checkpoint, unwrap

# Causal attention, argmax pooling and the BPE vocabulary that ships with open_clip are common to CLIP's family.
ARCH_FIELDS = ('embed_dim', 'quick_gelu', 'context_length', 'vocab_size', 'width', 'heads', 'layers', 'mlp_ratio',
               'ls_init_value')
# What SigLIP's towers have beside: no mask, the last position, a bias, and a tokenizer of a model hub.
NETWORK_FIELDS = ('no_causal_mask', 'pool_type', 'proj_bias', 'norm_kwargs', 'act_kwargs')
TOKENIZER_FIELDS = ('hf_tokenizer_name', 'tokenizer_kwargs')
VOCAB_SIZE = 49408
# Where the text tower is in a whole CLIP: open_clip's custom-text and EVA-CLIP's layout, ours, and OpenAI's flat one.
PREFIXES = ('text.', 'tower.', 'text_encoder.tower.', '')
FLAT_KEYS = ('token_embedding.', 'positional_embedding', 'transformer.', 'ln_final.', 'text_projection')


def text_fields(arch: str | dict) -> dict:
    """The fields of a text tower, those of open_clip's ``text_cfg`` that are supported and nothing else.

    Args:
        arch: open_clip's config name, or a dict of the fields.

    Returns:
        The fields that differ from `TextTransformer`'s defaults; embed_dim and quick_gelu always.

    Raises:
        ValueError: unknown name, or a field, pooling or vocabulary that is neither CLIP's nor SigLIP's.
    """
    fields = _named_fields(arch) if isinstance(arch, str) else dict(arch)
    fields.setdefault('quick_gelu', False)
    unknown = sorted(set(fields) - {*ARCH_FIELDS, *NETWORK_FIELDS, *TOKENIZER_FIELDS})
    hub = 'hf_tokenizer_name' in fields
    if unknown or 'embed_dim' not in fields or not hub and fields.get('vocab_size', VOCAB_SIZE) != VOCAB_SIZE:
        raise ValueError(f"CLIPTextEncoder field 'arch': found {arch!r} with the fields {sorted(fields)}, of which "
                         f"{unknown} are not supported; expected 'embed_dim' and any of "
                         f'{[*ARCH_FIELDS[1:], *NETWORK_FIELDS, *TOKENIZER_FIELDS]}, vocab_size {VOCAB_SIZE} without '
                         'hf_tokenizer_name. CoCa and towers of transformers (multilingual) are not supported')
    pool = fields.get('pool_type', 'argmax')
    if pool not in (('argmax', 'last') if hub else ('argmax', )):
        raise ValueError(f"CLIPTextEncoder field 'arch': found pool_type {pool!r} and hf_tokenizer_name "
                         f"{fields.get('hf_tokenizer_name')!r}, expected 'argmax', or with a hub's tokenizer 'last': "
                         "the last position of CLIP's own tokens is padding")
    return fields


def build_text_tower(fields: dict) -> TextTransformer:
    """open_clip's text transformer with random weights, for training or for loading.

    Args:
        fields: as `text_fields` returns them.
    """
    apart = ('embed_dim', 'quick_gelu', 'norm_kwargs', 'act_kwargs', *TOKENIZER_FIELDS)
    rest = {name: value for name, value in fields.items() if name not in apart}
    activation = partial(QuickGELU if fields['quick_gelu'] else nn.GELU, **fields.get('act_kwargs') or {})
    norm = partial(LayerNorm, **fields.get('norm_kwargs') or {})
    return TextTransformer(output_dim=fields['embed_dim'], act_layer=activation, norm_layer=norm, **rest)


def tokenize(texts: list[str], context_length: int) -> torch.Tensor:
    """BPE tokens by the vocabulary that ships with open_clip; no network is used.

    Args:
        texts: T texts.
        context_length: L, start and end tokens included.

    Returns:
        (T, L) int64, padded with 0; the end-of-text token has the highest id of its row.

    Raises:
        ValueError: a text has more than L tokens; it is named, never cut.
    """
    if isinstance(texts, str) or not len(texts):
        raise ValueError(f'texts: found {texts!r}, expected a list of at least one text')
    tokens = open_clip.tokenize(list(texts), context_length=context_length + 1)
    too_long = tokens[:, context_length].nonzero().flatten().tolist()
    if too_long:
        raise ValueError(f'text {texts[too_long[0]]!r}: found more than {context_length} tokens, the context of the '
                         f'text tower ({len(too_long)} such texts); shorten it: texts are never cut silently')
    return tokens[:, :context_length]


def load_text_tower(tower: TextTransformer, fields: dict, checkpoint: str | Path | dict) -> None:
    """Loads a text tower strictly.

    Args:
        tower: open_clip's text transformer.
        fields: the fields that it was built from.
        checkpoint: file, 'open_clip::MODEL/TAG' (the only form that downloads), or state dict in any wrapping.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: no text tower is in it, keys are missing, unknown or of another shape (all named), or it was
            trained with another activation.
    """
    source = 'the given state dict' if isinstance(checkpoint, dict) else f'checkpoint {checkpoint}'
    if str(checkpoint).startswith('open_clip::'):
        # open_clip knows each tag's activation; weights alone do not show it.
        model, _, tag = str(checkpoint).removeprefix('open_clip::').partition('/')
        _check_activation(bool(open_clip.get_pretrained_cfg(model, tag).get('quick_gelu')), fields, source)
    state_dict = unwrap(checkpoint if isinstance(checkpoint, dict) else read_checkpoint(checkpoint))
    if 'input_resolution' in state_dict:  # only OpenAI's own archives hold it
        _check_activation(True, fields, source)
    try:
        tower.load_state_dict(text_weights(state_dict, source))
    except RuntimeError as error:  # torch names every missing, unexpected and misshaped key
        raise CheckpointError(f"{source} does not fit the text tower {fields}: {' '.join(str(error).split())} "
                              "Check the encoder's field 'arch'") from error


def text_weights(state_dict: Weights, source: str) -> Weights:
    """The text tower of a state dict, in open_clip's key names and float32.

    Args:
        state_dict: unwrapped; layout of original EVA-CLIP, open_clip, OpenAI or ours.
        source: how messages name it.

    Raises:
        CheckpointError: no text tower is in it.
    """
    for prefix in PREFIXES:
        if f'{prefix}token_embedding.weight' in state_dict:
            break
    else:
        raise CheckpointError(f'{source}: found no text tower in the keys {sorted(state_dict)[:5]} ...; expected one '
                              f"of {[prefix + 'token_embedding.weight' for prefix in PREFIXES]}. Files with the vision "
                              'tower alone (CLIPSelf, timm) do not hold one: give the original CLIP file')
    parts = (prefix, ) if prefix else FLAT_KEYS
    # Old files keep the causal mask, a constant.
    keys = [key for key in state_dict if key.startswith(parts) and not key.endswith('attn_mask')]
    return {key.removeprefix(prefix): state_dict[key].float() for key in keys}


def _named_fields(arch: str) -> dict:
    if arch not in open_clip.list_models():
        close = difflib.get_close_matches(arch, open_clip.list_models(), n=5, cutoff=0.4)
        raise ValueError(f"CLIPTextEncoder field 'arch': found {arch!r}, expected a config name of open_clip "
                         f'{open_clip.__version__}, for example {close}, or a dict of {list(ARCH_FIELDS)}')
    config = open_clip.get_model_config(arch)
    return {**config['text_cfg'], 'embed_dim': config['embed_dim'], 'quick_gelu': config.get('quick_gelu', False)}


def _check_activation(trained_with_quick_gelu: bool, fields: dict, source: str) -> None:
    if trained_with_quick_gelu != fields['quick_gelu']:
        names = {True: 'QuickGELU', False: 'GELU'}
        raise CheckpointError(f"{source}: found weights trained with {names[trained_with_quick_gelu]}, expected "
                              f"{names[fields['quick_gelu']]} from the encoder's field 'arch'; choose the arch "
                              "with or without the ending '-quickgelu' (in a dict: quick_gelu)")
