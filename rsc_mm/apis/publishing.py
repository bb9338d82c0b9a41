"""A fine-tuned tower for use elsewhere: files that describe themselves, and a folder for a model hub."""
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from safetensors.torch import save_file
from torch import nn

from rsc_mm.models.text.text_tower import text_weights
from rsc_mm.registry import MODELS
from rsc_mm.utils.checkpoint import (
    NOT_VISION,
    CheckpointError,
    Weights,
    export_state_dict,
    load_clip_checkpoint,
    read_checkpoint,
    unwrap,
)
from rsc_mm.utils.files import replacing

from .description import TowerDescription, encode_meta
from .hub_folder import portable_text, write_folder


def publish(config: Config, checkpoint: str | Path, out: str | Path, clip: str | Path | None = None,
            overwrite: bool = False, card: dict[str, Any] | None = None) -> TowerDescription:
    """Write a tower as `rsc_mm.load` reads it with nothing else given; the ending of ``out`` chooses the format.

    ============ ===================================================================================================
    .pth         init checkpoint of MMDetection and MMSegmentation (``backbone.vit.*``)
    .pt          whole CLIP in the key names of its original code, text tower and temperature from ``clip``
    .safetensors this package's keys; with ``clip`` its text tower too
    none         a folder for a model hub, see `write_folder`
    ============ ===================================================================================================

    Args:
        config: the configuration that trained the tower.
        checkpoint: weights of any format.
        out: file or folder.
        clip: CLIP file whose text tower is added; not for .pth.
        overwrite: replace what is there.
        card: what the folder's model card says, see `write_folder`.

    Returns:
        What the file says about itself.

    Raises:
        FileExistsError: ``out`` is there and ``overwrite`` is not set.
        ValueError: another ending, or ``clip`` with .pth.
        CheckpointError: the weights do not fit, or are not finite.

    Examples:
        >>> import tempfile
        >>> import rsc_mm
        >>> from rsc_mm.apis import load_config
        >>> clip, out = 'projects/shapes_clip/shapes_clip.pt', tempfile.mkdtemp() + '/tower.safetensors'
        >>> described = publish(load_config('configs/shapes/clipself_grid.py'), clip, out, clip)
        >>> rsc_mm.load(out, device='cpu').image_size
        128
    """
    out = Path(out)
    writers: dict[str, Callable] = {'.pth': _write_mmdet, '.pt': _write_clip, '.safetensors': write_safetensors}
    if out.suffix not in (*writers, ''):
        raise ValueError(f'OUT: found the ending {out.suffix!r}, expected one of {sorted(writers)}, or none: a '
                         'folder')
    if clip and out.suffix == '.pth':
        raise ValueError(f'--clip belongs to a .pt or .safetensors file or a folder, found OUT {out}')
    if out.exists() and not overwrite:
        raise FileExistsError(f'{out}: is there already; give another name, or --overwrite to replace it')
    description = TowerDescription.from_config(config)
    tower = MODELS.build({**description.backbone, '_scope_': 'rsc_mm'})
    load_clip_checkpoint(tower, checkpoint)
    check_finite(tower.state_dict(), str(checkpoint))
    text = read_text(clip) if clip else {}
    if out.suffix:
        with replacing(out) as beside:
            writers[out.suffix](tower, description, text, beside)
    else:
        write_folder(out, tower, description, text, card or {})
    return description


def read_text(clip: str | Path) -> Weights:
    """All of a CLIP file but its image tower: text tower, temperature, and the caches of rotary embeddings.

    Args:
        clip: the file.

    Raises:
        CheckpointError: it holds no text tower, or one that is not finite.
    """
    weights = unwrap(read_checkpoint(clip))
    kept = {key: value for key, value in weights.items()
            if key.startswith(NOT_VISION) or (key.startswith('visual.') and 'rope.' in key)}
    text_weights(kept, str(clip))  # an error where there is none
    check_finite(kept, str(clip))
    return kept


def check_finite(weights: Weights, source: str) -> None:
    """Refuse weights that are not finite.

    Args:
        weights: a state dict.
        source: how the message names it.

    Raises:
        CheckpointError: a value is infinite or not a number.
    """
    bad = [key for key, value in weights.items() if value.is_floating_point() and not value.isfinite().all()]
    if bad:
        raise CheckpointError(f'{source}: found values that are not finite in {bad[:8]}, expected those of a training '
                              'that did not diverge; take an earlier checkpoint')


def _write_mmdet(tower: nn.Module, description: TowerDescription, text: Weights, out: Path) -> None:
    torch.save({'state_dict': export_state_dict(tower, 'mmdet'), 'meta': description.to_meta()}, out)


def _write_clip(tower: nn.Module, description: TowerDescription, text: Weights, out: Path) -> None:
    weights = {**text, **export_state_dict(tower, 'clip')}
    torch.save({'state_dict': weights, 'meta': description.to_meta()}, out)


def write_safetensors(tower: nn.Module, description: TowerDescription, text: Weights, out: Path) -> None:
    """Write a tower and its text tower, described, in this package's keys.

    Args:
        tower: with its weights.
        description: of the tower.
        text: see `read_text`; empty: none.
        out: file.
    """
    save_file({**export_state_dict(tower, 'ours'), **portable_text(text)}, out, encode_meta(description.to_meta()))
