"""`rsc_mm.load`: a dense CLIP from a file, a configuration or a folder."""
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device

from rsc_mm.models.region_preprocessor import RegionPreprocessor
from rsc_mm.models.text import CLIPTextEncoder
from rsc_mm.registry import MODELS
from rsc_mm.utils.checkpoint import CheckpointError, load_clip_checkpoint, read_checkpoint, unwrap

from .config import load_config
from .dense_clip import DenseCLIP
from .description import TowerDescription, find_class_embeddings
from .detection import OPEN_VOCABULARY, Detector, load_detector
from .hub import download, is_hub_name
from .text_embeddings import TextEmbeddings, read_text_tower

TextBuilder = Callable[[], tuple[CLIPTextEncoder, float]]
FOLDER_CONFIG = 'config.json'
"""Describes the weights of a published folder: ``weights``, their file, and the fields of `TowerDescription`."""


def load(source: str | Path, device: str | torch.device | None = None, *, checkpoint: str | Path | None = None,
         text_checkpoint: str | Path | None = None, cache_dir: str | Path | None = None) -> DenseCLIP:
    """A tower that describes and names regions, ready to use.

    Args:
        source: one of

            * a file that tools/converters/publish_backbone.py wrote (.pth, .pt, .safetensors): architecture, readout,
              image size, normalisation and the text tower's architecture are in it;
            * a folder that it wrote;
            * a configuration (.py) whose ``model.backbone`` is a tower; its weights are those of ``init_cfg``;
            * the work directory of a training: its configuration and its last checkpoint;
            * 'hf-hub:owner/name', optionally with '@revision': such a folder on the Hugging Face hub.

            A configuration of F-ViT with what the detector's training saved as ``checkpoint``, or its work directory,
            gives the detector's tower and `DenseCLIP.detect` (which needs mmdet).
        device: where the tower runs; default: a GPU if there is one.
        checkpoint: weights of the tower, in the place of those that a configuration or work directory names.
        text_checkpoint: a CLIP file with the text tower, where the source does not hold or name one.
        cache_dir: where embeddings of names are kept on disk; None: in memory only.

    Raises:
        FileNotFoundError: there is no such file, or no such repository on the hub.
        ConnectionError: the hub cannot be reached.
        CheckpointError: a file does not describe itself, or weights do not fit.
        ValueError: a configuration has no tower, or a folder holds neither.

    Examples:
        >>> import rsc_mm
        >>> model = rsc_mm.load('projects/shapes_clip/shapes_clip.pt', device='cpu')
        >>> model.encode_image('projects/shapes_clip/scene.jpg').shape
        (128,)
    """
    path = download(str(source)) if is_hub_name(source) else Path(source)
    if path.is_dir() and not (path / FOLDER_CONFIG).is_file():
        config_path, last = find_training(path)
        path, checkpoint = config_path, checkpoint or last
    weights: str | Path | dict
    device, detector = device or get_device(), None
    if path.suffix == '.py':
        config = load_config(path)
        description, weights, text = _from_config(config, path, checkpoint, text_checkpoint)
        detector = _detector(config, weights, device)
    elif checkpoint:
        raise ValueError(f'checkpoint: found {checkpoint} beside {source}, expected it beside a configuration (.py)')
    else:
        description, weights, text = _from_file(path, text_checkpoint)
    tower: Any = detector.model.backbone if detector else _tower(description, weights, source)
    tower.to(device).freeze()
    preprocessor = RegionPreprocessor(
        description.image_size or tower.image_size, tower.image_size, tower.patch_size, layout='rectangle',
        mean=description.mean, std=description.std).to(device)
    return DenseCLIP(tower, preprocessor, TextEmbeddings(text, description.prompts, cache_dir), detector)


def find_training(folder: Path) -> tuple[Path, str]:
    """Configuration and last checkpoint of a work directory.

    Args:
        folder: of MMEngine.

    Raises:
        ValueError: it is no work directory with a checkpoint.
    """
    configs, last = sorted(folder.glob('*.py')), folder / 'last_checkpoint'
    name = last.read_text().strip() if last.is_file() else ''
    if len(configs) != 1 or not name:
        raise ValueError(f'{folder}: found {[path.name for path in configs]} and '
                         f'{"an empty" if last.is_file() and not name else "the" if name else "no"} last_checkpoint, '
                         f'expected a folder with {FOLDER_CONFIG} (tools/converters/publish_backbone.py writes it), or '
                         'the work directory of a training: one configuration and last_checkpoint')
    # The path in the file is relative to where the training ran.
    return configs[0], str(name if Path(name).is_file() else folder / Path(name).name)


def read_published(path: Path) -> tuple[TowerDescription, dict]:
    """Description and content of a published file or folder.

    Args:
        path: file, or folder with `FOLDER_CONFIG`.

    Raises:
        CheckpointError: the folder's `FOLDER_CONFIG` is damaged, or the file does not describe itself.
    """
    if not path.is_dir():
        content = read_checkpoint(path)
        return TowerDescription.from_meta(content.get('meta') or {}, str(path)), content
    config = path / FOLDER_CONFIG
    try:
        meta = json.loads(config.read_text())['rsc_mm']
        weights = path / Path(meta['weights']).name  # never a file outside the folder
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{config}: found {type(error).__name__} {error}, expected a json with 'rsc_mm' and in "
                              "it 'weights', as tools/converters/publish_backbone.py writes it") from error
    return TowerDescription.from_meta(meta, str(config)), {**read_checkpoint(weights), 'meta': meta}


def _from_file(path: Path, text_checkpoint: str | Path | None) -> tuple[TowerDescription, dict, TextBuilder]:
    description, content = read_published(path)
    state_dict = unwrap(content)
    text = {key: value for key, value in state_dict.items() if not key.startswith(('vit.', 'visual.', 'backbone.'))}
    holds_text = any(key.endswith('token_embedding.weight') for key in text)

    def build_text() -> tuple[CLIPTextEncoder, float]:
        if not holds_text and text_checkpoint is None:
            raise CheckpointError(
                f'{path}: found no text tower in it, which names need. Give the CLIP file that the tower comes from: '
                f"rsc_mm.load('{path}', text_checkpoint='CLIP.pt'), or publish the tower with --clip CLIP.pt")
        if description.text_arch is None:
            raise CheckpointError(f"{path}: found no 'text_arch' in its metadata, expected that of the text tower; "
                                  'publish with a configuration that has class_embeddings.text_encoder')
        return read_text_tower(description.text_arch, text_checkpoint or text)

    return description, content, build_text


def _tower(description: TowerDescription, weights: str | Path | dict, source: str | Path) -> torch.nn.Module:
    with torch.random.fork_rng(devices=()):  # random weights, which the file's replace, do not move the user's numbers
        tower = MODELS.build({**description.backbone, '_scope_': 'rsc_mm'})
    try:
        load_clip_checkpoint(tower, weights)
    except CheckpointError as error:
        raise CheckpointError(f'{source}: {error}') from error
    return tower


def _detector(config: Config, weights: str | Path, device: str | torch.device) -> Detector | None:
    """The detector that the weights are of; None where they are of a tower alone."""
    if config.model.get('type') not in OPEN_VOCABULARY:
        return None
    if not any(key.startswith('roi_head.') for key in unwrap(read_checkpoint(weights))):
        return None
    with torch.random.fork_rng(devices=()):  # as above
        return load_detector(config, weights, device=device)


def _from_config(config: Config, path: Path, checkpoint: str | Path | None,
                 text_checkpoint: str | Path | None) -> tuple[TowerDescription, str | Path, TextBuilder]:
    description = TowerDescription.from_config(config)
    weights = checkpoint or (config.model.backbone.get('init_cfg') or {}).get('checkpoint')
    if weights is None:
        raise ValueError(f"{path}, field 'model.backbone.init_cfg': found no checkpoint, expected one, or give it: "
                         f"rsc_mm.load('{path}', checkpoint=FILE)")
    encoder = (find_class_embeddings(config) or {}).get('text_encoder') or {}

    def build_text() -> tuple[CLIPTextEncoder, float]:
        source = text_checkpoint or encoder.get('checkpoint')
        if source is None or description.text_arch is None:
            raise ValueError(f'{path}: found no class_embeddings.text_encoder in it, which names need, expected '
                             "dict(arch='EVA02-B-16', checkpoint=PATH), the text tower of model.backbone")
        return read_text_tower(description.text_arch, source)

    return description, weights, build_text
