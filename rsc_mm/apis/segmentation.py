"""Segmentation of images by any names, with a configuration of mmseg's scope; what needs mmseg is imported on use."""
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import DefaultScope

from rsc_mm.engine.readout_hook import check_saved_readout
from rsc_mm.models.text import class_queries
from rsc_mm.utils.checkpoint import check_keys, read_checkpoint, unwrap
from rsc_mm.utils.dependencies import require

from .config import load_config
from .evaluation import TOWER_MODELS
from .images import ImageLike, read_one, to_array
from .results import ClassMap

LOADERS = ('LoadImageFromFile', 'LoadAnnotations', 'rsc_mm.LoadLabelMap', 'rsc_mm.LoadPanopticLabels')


def load_segmentor(config: str | Path | Config, checkpoint: str | Path | None = None,
                   classes: Sequence[str] | None = None, device: str | torch.device | None = None,
                   options: dict | None = None) -> torch.nn.Module:
    """A segmentor with its weights and a vocabulary, in eval mode.

    Args:
        config: configuration of off-the-shelf segmentation (configs/segmentation) or of CAT-Seg (configs/catseg).
        checkpoint: weights: those of a tower for off-the-shelf segmentation, see `load_clip_checkpoint`, else of the
            whole model. None: those that the configuration names.
        classes: T classes, 'dog; puppy' is one with two names; None: those of the configuration.
        device: where it runs; default: a GPU if there is one.
        options: overrides by dotted key.

    Raises:
        ImportError: mmseg is not installed.
        ValueError: the configuration is of no segmentor that takes names.
        CheckpointError: the weights do not fit.
    """
    for library in ('mmcv', 'mmseg'):
        require(library)
    config = config if isinstance(config, Config) else load_config(config, options)
    from mmseg.utils import register_all_modules

    from rsc_mm.models import segmentors
    register_all_modules(init_default_scope=False)
    kind = getattr(segmentors, str(config.model.type).removeprefix('rsc_mm.'), None)
    if not hasattr(kind, 'set_vocabulary'):
        raise ValueError(f'configuration {config.filename}: found the model {config.model.type!r}, expected one that '
                         'takes names: rsc_mm.DenseCLIPSegmentor or rsc_mm.CATSeg')
    build = _build_on_tower if config.model.type in TOWER_MODELS else _build_whole
    model = build(config, checkpoint, classes)
    model.cfg = config
    return model.to(device or get_device()).eval()


@torch.no_grad()
def segment(model: torch.nn.Module, image: ImageLike) -> ClassMap:
    """The class of every pixel of an image.

    Args:
        model: see `load_segmentor`.
        image: a path, PIL image, array (H, W, 3) or tensor (3, H, W); files and PIL images are turned upright by their
            EXIF orientation.

    Returns:
        Labels (H, W) of the upright image, with ``picture()``, ``save(path)`` and ``save_labels(path)``.

    Examples:
        >>> from rsc_mm.apis.segmentation import load_segmentor, segment
        >>> model = load_segmentor('configs/shapes/maskclip_shapes.py', classes=['star', 'ring; circle', 'stripes'],
        ...                        device='cpu')
        >>> segment(model, 'projects/shapes_clip/scene.jpg').labels.shape
        (128, 128)
    """
    from mmcv.transforms import Compose
    pixels = to_array(read_one(image))
    steps = [step for step in model.cfg.test_dataloader.dataset.pipeline if step['type'] not in LOADERS]
    with DefaultScope.overwrite_default_scope('mmseg'):
        data = Compose([dict(type='LoadImageFromNDArray'), *steps])(dict(img=pixels[:, :, ::-1].copy()))
    found = model.test_step(dict(inputs=[data['inputs']], data_samples=[data['data_samples']]))[0]
    return ClassMap(pixels, list(model.classes), found.pred_sem_seg.data[0].cpu().int().numpy())


def _build(config: Config) -> Any:
    from mmseg.registry import MODELS
    with DefaultScope.overwrite_default_scope('mmseg'):
        return MODELS.build(config.model)


def _build_on_tower(config: Config, checkpoint: str | Path | None, classes: Sequence[str] | None) -> torch.nn.Module:
    """The classes are set before the model is built, so that those of the configuration are not embedded first."""
    fields = config.model
    if classes:
        fields.classes = list(classes)
        if fields.get('background') not in class_queries(fields.classes)[0]:
            fields.background = None
    if checkpoint:
        fields.backbone.init_cfg = dict(type='Pretrained', checkpoint=str(checkpoint))
    model = _build(config)
    model.init_weights()
    return model


def _build_whole(config: Config, checkpoint: str | Path | None, classes: Sequence[str] | None) -> torch.nn.Module:
    if not checkpoint:
        raise ValueError(f'checkpoint: found none, expected the weights of the whole {config.model.type} that '
                         f'{config.filename} describes')
    config.model.backbone.init_cfg = None
    model = _build(config)
    content = read_checkpoint(checkpoint)
    check_saved_readout(model.backbone, content, f'checkpoint {checkpoint}')
    weights = unwrap(content)
    check_keys(weights, model.state_dict(), f'checkpoint {checkpoint}', 'the segmentor', 'the configuration')
    model.load_state_dict(weights)
    if classes:
        model.set_vocabulary(list(classes))
    return model
