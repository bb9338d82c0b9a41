"""Detectors: loading, and detection of images by name. Needs mmdet."""
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import DefaultScope
from mmengine.runner import load_checkpoint
from torch import nn

from rsc_mm.utils.dependencies import require

from .config import load_config
from .detections import Detections
from .images import ImageLike, read_one, to_array

OPEN_VOCABULARY = ('rsc_mm.FViT', 'FViT')
"""Types of detectors that take any names."""


def load_detector(config: str | Path | Config, checkpoint: str | Path, names: str | Path | Sequence[str] | None = None,
                  device: str | torch.device | None = None, options: dict | None = None) -> 'Detector':
    """An open-vocabulary detector, ready to use.

    Neither a CLIP file nor a data set is read, unless names are asked for that are not saved with the detector: those
    need the text tower of the configuration's ``class_embeddings``.

    Args:
        config: of F-ViT, a file or its content.
        checkpoint: what training saved.
        names: classes to look for, as `read_class_names` takes them: a list, a vocabulary or a file; None: the
            configuration's.
        device: where it runs; default: a GPU if there is one.
        options: overrides of the configuration by dotted key.

    Raises:
        FileNotFoundError: there is no such file.
        ImportError: mmdet is not installed.
        ValueError: the configuration is not of such a detector, or the weights do not fit.

    Examples:
        >>> detector = load_detector('configs/fvit/fvit_vitb16_ovcoco.py', 'epoch_3.pth')  # doctest: +SKIP
        >>> found = detector.detect('street.jpg', ['traffic light', 'red umbrella'])  # doctest: +SKIP
        >>> found.save('found.png')  # doctest: +SKIP
    """
    _require_mmdet()  # before the configuration, which imports it
    if not isinstance(config, Config):
        config = load_config(config, options)
    kind = (config.get('model') or {}).get('type')
    if kind not in OPEN_VOCABULARY:
        raise ValueError(f"{config.filename}, field 'model.type': found {kind!r}, expected {OPEN_VOCABULARY[0]!r}, a "
                         'detector; towers and what trains them name given boxes and masks: rsc_mm.load')
    if names is not None:
        config.model.roi_head.bbox_head.classes = names if isinstance(names, (str, Path)) else list(names)
    return Detector(build_detector(config, checkpoint, device), config)


def build_detector(config: Config, checkpoint: str | Path, device: str | torch.device | None = None) -> nn.Module:
    """Any detector of mmdet with its weights, in eval mode.

    Args:
        config: its configuration; ``init_cfg`` of the backbone is dropped, since the checkpoint holds all weights.
        checkpoint: every weight of the model; loaded strictly.
        device: where it runs; default: a GPU if there is one.

    Raises:
        FileNotFoundError: there is no such checkpoint.
        ImportError: mmcv or mmdet is not installed.
        ValueError: the weights do not fit.
    """
    _require_mmdet()
    from mmdet.registry import MODELS
    from mmdet.utils import register_all_modules
    from mmengine.model import revert_sync_batchnorm

    import rsc_mm.models.detectors  # noqa: F401  registers ours
    register_all_modules(init_default_scope=False)
    if not Path(checkpoint).is_file() and '://' not in str(checkpoint):
        raise FileNotFoundError(f'checkpoint {checkpoint}: no such file')
    config.model.backbone.init_cfg = None
    with DefaultScope.overwrite_default_scope(config.get('default_scope', 'mmdet')):
        model = revert_sync_batchnorm(MODELS.build(config.model))
    try:
        load_checkpoint(model, str(checkpoint), map_location='cpu', strict=True)
    except RuntimeError as error:
        raise ValueError(f'{checkpoint}: found weights that do not fit, expected those of {config.filename}: '
                         f'{str(error)[:1000]}') from error
    model.cfg = config
    return model.to(device or get_device()).eval()


def _require_mmdet() -> None:
    for library in ('mmcv', 'mmdet'):
        require(library)


class Detector:
    """An open-vocabulary detector with its test pipeline; `load_detector` makes one.

    Args:
        model: `FViT` with its weights, on its device.
        config: its configuration, which holds the test pipeline.
    """

    def __init__(self, model: nn.Module, config: Config) -> None:
        self.model = model
        self.config = config

    @property
    def classes(self) -> list[str]:
        """T names that it looks for."""
        return list(self.model.roi_head.bbox_head.classes)

    def set_names(self, names: str | Path | Sequence[str]) -> None:
        """Look for other names; those that the checkpoint does not hold need the text tower.

        Args:
            names: as `read_class_names` takes them.

        Raises:
            FileNotFoundError: the text tower is needed and not there.
            ValueError: a name is given twice.
        """
        before = self.classes
        try:
            self.model.set_vocabulary(names)
        except Exception:
            self.model.set_vocabulary(before)  # goes on with those that it has embeddings of
            raise

    def detect(self, image: ImageLike, names: Sequence[str] | None = None, score: float = 0.2) -> Detections:
        """Objects of an image.

        Args:
            image: path, PIL image, array (H, W, 3) uint8 RGB or tensor (3, H, W). Files and PIL images are turned
                upright by their EXIF orientation, and boxes and masks refer to the upright image.
            names: what to look for, from now on; None: as before.
            score: lowest score.

        Raises:
            BadImageError: the file cannot be read; the message names it.
        """
        from mmdet.apis import inference_detector
        if names is not None and list(names) != self.classes:
            self.set_names(list(names))
        pixels = to_array(read_one(image))
        with DefaultScope.overwrite_default_scope(self.config.get('default_scope', 'mmdet')):
            found = inference_detector(self.model, np.ascontiguousarray(pixels[:, :, ::-1])).pred_instances.cpu()
        found = found[found.scores >= score]
        head = self.model.roi_head.bbox_head
        masks = found.masks.numpy().astype(bool) if 'masks' in found else None
        return Detections(pixels, found.bboxes.numpy(), found.scores.numpy(), found.labels.numpy(), self.classes,
                          head.is_base[:-1].cpu().numpy(), masks)
