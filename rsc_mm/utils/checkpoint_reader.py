"""Checkpoint files in, without running code that they hold.

A pickle may name any function, and loading calls it. Everything here reads by ``weights_only``: tensors, plain values,
NumPy values and the log's history of MMEngine. `import rsc_mm` registers this reading with MMEngine's public
``CheckpointLoader``, so that ``Runner.resume``, ``Runner.load_checkpoint``, ``load_from``, ``init_cfg`` and the
inferencers of MMDetection and MMSegmentation read so too, whichever build of MMEngine is installed.
"""
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import numpy as np
import torch
from mmengine.dist import barrier, get_local_rank
from mmengine.logging import HistoryBuffer, print_log
from mmengine.runner import CheckpointLoader
from safetensors import safe_open

from .torchscript_reader import read_torchscript

Weights = dict[str, torch.Tensor]

_trusted: set[Path] = set()  # what the user named with --trust-checkpoint


class CheckpointError(ValueError):
    """A checkpoint cannot be used; the message names the file, what was found and what was expected."""


def history_method(owner: type, name: str) -> Callable:
    """What ``getattr`` means inside a checkpoint: a statistic of MMEngine's `HistoryBuffer` and nothing else.

    Args:
        owner: `HistoryBuffer`.
        name: of its method.

    Raises:
        CheckpointError: anything else was asked for.
    """
    if owner is not HistoryBuffer or name not in ('min', 'max', 'current', 'mean'):
        raise CheckpointError(f'asks for the attribute {name!r} of {owner!r}')
    return getattr(HistoryBuffer, name)


# What weights_only loading accepts beside tensors and plain values.
SAFE_GLOBALS = [np.ndarray, np.dtype, *{type(np.dtype(name)) for name in ('float64', 'float32', 'int64', 'bool')},
                np.zeros(0).__reduce__()[0], np.float64(0).__reduce__()[0], HistoryBuffer,
                (history_method, 'builtins.getattr')]


def read_checkpoint(path: str | Path) -> dict:
    """The content of a checkpoint file, on the CPU; code in it does not run (see `trust_checkpoint`).

    Args:
        path: file, or 'open_clip::MODEL/TAG'.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: the file cannot be read as a checkpoint, or the download failed.
    """
    if str(path).startswith('open_clip::'):
        return _download_open_clip(str(path).removeprefix('open_clip::'))
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f'checkpoint {path}: no such file; give a .pt, .pth or .safetensors file, or an '
                                "open_clip tag such as 'open_clip::EVA02-B-16/merged2b_s8b_b131k'")
    read = _unpickle if path.resolve() in _trusted else _read_weights_only
    if path.suffix == '.safetensors':
        read = _read_safetensors
    try:
        content = read(path)
    except Exception as error:  # torch raises many types here: EOFError, RuntimeError, UnpicklingError ...
        raise CheckpointError(f'checkpoint {path}: cannot be read as weights ({reading_error(error)}); expected a '
                              'whole file written by torch.save or safetensors that holds tensors and plain values '
                              'only. Other objects can run code when they are loaded: only if the file is your own, '
                              'the tools take --trust-checkpoint FILE, Python rsc_mm.utils.checkpoint.trust_checkpoint'
                              ) from error
    if not isinstance(content, dict):
        raise CheckpointError(f'checkpoint {path}: found a {type(content).__name__}, expected a dict of tensors by '
                              "name, or one with 'state_dict', 'model' or 'module'")
    return content


def reading_error(error: Exception) -> str:
    """Type and reason of an error of `torch.load`, without its advice to unpickle the file nevertheless.

    Args:
        error: what was raised.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reasons = [line for line in lines if not line.startswith(('Weights only load failed', 'Please file an issue'))]
    reason = (reasons or ['no message'])[0].partition('. Please use ')[0]
    return f'{type(error).__name__}: {reason.removeprefix("WeightsUnpickler error: ")}'


def trust_checkpoint(path: str | Path) -> Path:
    """Let this process unpickle one file as it is: **code inside it runs with your rights**.

    For your own files of old versions that hold objects, never for files of others. Tools: ``--trust-checkpoint FILE``.

    Args:
        path: the file.

    Returns:
        Its whole path.
    """
    path = Path(path).expanduser().resolve()
    print_log(f'checkpoint {path}: trusted, code inside it may run', 'current', logging.WARNING)
    _trusted.add(path)
    return path


def unwrap(content: dict) -> Weights:
    """The state dict inside any wrapping: ``model``, ``module``, ``state_dict``, and the prefix ``module.``.

    Args:
        content: what a checkpoint file holds.
    """
    for name in ('model', 'module', 'state_dict') * 2:
        if isinstance(content.get(name), dict):
            content = content[name]
    return {key.removeprefix('module.'): value for key, value in content.items()}


@CheckpointLoader.register_scheme(prefixes='', force=True)
def load_from_weights_only(filename: str, map_location: object = None) -> dict:
    """A file for MMEngine: `read_checkpoint` without the configurations inside, which MMEngine would run as Python.

    ``Runner.resume`` runs ``meta.config``; inferencers without a configuration run ``message_hub.runtime_info.cfg``
    or ``meta.cfg``. The configuration that is given by name stands in their place.

    Args:
        filename: file.
        map_location: not used: the content is on the CPU, and loading copies it to where the model is.

    Raises:
        FileNotFoundError, CheckpointError: see `read_checkpoint`.
    """
    content = read_checkpoint(filename)
    if Path(filename).expanduser().resolve() in _trusted:
        return content
    if isinstance(content.get('meta'), dict):
        content['meta'] = {key: value for key, value in content['meta'].items() if key not in ('cfg', 'config')}
    hub = content.get('message_hub')
    if isinstance(hub, dict) and isinstance(hub.get('runtime_info'), dict):
        hub['runtime_info'].pop('cfg', None)
    return content


@CheckpointLoader.register_scheme(prefixes=('http://', 'https://'), force=True)
def load_from_url(filename: str, map_location: object = None) -> dict:
    """A download for MMEngine, kept in torch's cache and read as `load_from_weights_only` reads.

    Args:
        filename: address.
        map_location: not used.
    """
    target = Path(torch.hub.get_dir(), 'checkpoints', Path(urlparse(filename).path).name)
    if get_local_rank() == 0 and not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(filename, str(target))
    barrier()
    return load_from_weights_only(str(target))


@CheckpointLoader.register_scheme(prefixes=(r'(\S+\:)?s3://', r'(\S+\:)?petrel://', 'pavi://'), force=True)
def load_from_storage(filename: str, map_location: object = None) -> dict:
    """Refuses object storage, which MMEngine would unpickle.

    Args:
        filename: address.
        map_location: not used.

    Raises:
        CheckpointError: always.
    """
    raise CheckpointError(f'checkpoint {filename}: object storage is not read, expected a local file or an https '
                          'address; copy it to a local file first')


def _read_weights_only(path: Path) -> Any:
    try:
        with torch.serialization.safe_globals(SAFE_GLOBALS):
            return torch.load(path, map_location='cpu', weights_only=True)
    except RuntimeError as error:
        if 'TorchScript' not in str(error):
            raise
        return read_torchscript(path)  # OpenAI's archives


def _unpickle(path: Path) -> Any:
    return torch.load(path, map_location='cpu', weights_only=False)


def _read_safetensors(path: Path) -> dict:
    with safe_open(path, framework='pt') as file:
        meta = file.metadata() or {}
        return {'state_dict': {key: file.get_tensor(key) for key in file.keys()}, 'meta': meta}


def _download_open_clip(name: str) -> Weights:
    import open_clip  # takes a second; `import rsc_mm` needs none of it

    model, _, tag = name.partition('/')
    if tag not in open_clip.list_pretrained_tags_by_model(model):
        raise CheckpointError(f"checkpoint 'open_clip::{name}': found no such model and tag; expected one of "
                              f'{open_clip.list_pretrained_tags_by_model(model) or open_clip.list_models()}')
    try:
        return open_clip.create_model(model, pretrained=tag).state_dict()
    except Exception as error:  # the hub client raises its own types: no network, no such repository ...
        raise CheckpointError(f"checkpoint 'open_clip::{name}': the download failed ({type(error).__name__}: {error}); "
                              'fetch the file on a machine with network and give its path') from error
