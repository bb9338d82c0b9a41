"""A Refiner's checkpoint and the tower that it belongs to."""
import hashlib
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .checkpoint import CheckpointError, check_keys, read_checkpoint, unwrap


def tower_identity(backbone: nn.Module) -> dict[str, str]:
    """What a Refiner remembers of its tower: a readable name, and the SHA-256 of the weights in float32.

    Args:
        backbone: `EVACLIPViT` or `CLIPViT`.
    """
    own = {f'readout.{key}': value for key, value in backbone.readout.state_dict().items()}
    name = (f'{type(backbone).__name__} of width {backbone.width}, depth {backbone.depth}, '
            f'patch {backbone.patch_size}, readout {backbone.readout_config}')
    return {'tower': name, 'tower_hash': weights_hash({**backbone.vit.state_dict(), **own})}


def weights_hash(weights: dict[str, torch.Tensor]) -> str:
    """SHA-256 of names, shapes and values in float32.

    Args:
        weights: a state dict.
    """
    digest = hashlib.sha256()
    for key, value in sorted(weights.items()):
        digest.update(f'{key}{tuple(value.shape)}'.encode())
        digest.update(value.detach().cpu().float().contiguous().numpy().tobytes())
    return digest.hexdigest()


def load_refiner_checkpoint(refiner: nn.Module, path: str | Path, backbone: nn.Module,
                            command: str | None = None) -> None:
    """Load what stage 1 of R-SC saved; strictly, and onto its own tower only.

    Args:
        refiner: `Refiner`.
        path: file whose keys begin with ``refiner.``.
        backbone: the tower it will work on, with its weights.
        command: what makes the file, for the message if it is missing.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: it is no Refiner's, does not fit, or belongs to another tower.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'Refiner checkpoint {path}: no such file; train the Refiner first'
                                + (f': {command}' if command else ' (stage 1: configs/rsc/README.md)'))
    content = read_checkpoint(path)
    saved, found = content.get('meta', {}), tower_identity(backbone)
    check_tower(saved, found, f'Refiner checkpoint {path}')
    weights = {key.removeprefix('refiner.'): value for key, value in unwrap(content).items()
               if key.startswith('refiner.')}
    check_keys(weights, refiner.state_dict(), f'Refiner checkpoint {path}', 'the Refiner', 'its fields')
    refiner.load_state_dict(weights)


def check_tower(saved: dict[str, Any], found: dict[str, str], source: str) -> None:
    """Refuse a Refiner on another tower than its own.

    Args:
        saved: the checkpoint's ``meta``.
        found: `tower_identity` of the tower at hand.
        source: how the message names the checkpoint.

    Raises:
        CheckpointError: name or hash differ, or the checkpoint holds none.
    """
    if 'tower_hash' not in saved:
        raise CheckpointError(f'{source}: found no tower_hash in its meta, expected a checkpoint of a RefinerTrainer '
                              'saved with RefinerCheckpointHook')
    if any(saved.get(key) != value for key, value in found.items()):  # the readout, in the name, counts too
        raise CheckpointError(f"{source}: belongs to the tower {saved['tower']} (weights {saved['tower_hash'][:12]}), "
                              f"found {found['tower']} (weights {found['tower_hash'][:12]}); give the backbone the "
                              'checkpoint and readout that the Refiner was trained on, or train a Refiner for this one')
