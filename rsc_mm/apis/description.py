"""What a published tower says about itself, so that it is used without a configuration."""
import inspect
import json
from dataclasses import dataclass
from typing import Any

from mmengine.config import Config

from rsc_mm.models.region_preprocessor import CLIP_MEAN, CLIP_STD
from rsc_mm.registry import MODELS
from rsc_mm.utils.checkpoint import CheckpointError

# Fields of a backbone that say how it is trained or used in a detector, not what it computes.
NOT_DESCRIBED = ('type', 'init_cfg', 'frozen_stages', 'with_cp', 'out_indices', '_scope_')


@dataclass(frozen=True)
class TowerDescription:
    """What it takes to use a tower's weights.

    Attributes:
        backbone: ``dict(type=..., arch=..., readout=..., ...)``, which builds the tower.
        image_size: longest side of images in pixels, a multiple of the patch; None: the tower's native size.
        mean, std: of each channel, in units of 1.
        text_arch: architecture of the text tower, as `CLIPTextEncoder` takes it; None: unknown.
        prompts: the prompt set of class names, or templates.
    """

    backbone: dict[str, Any]
    image_size: int | None = None
    mean: tuple[float, ...] = CLIP_MEAN
    std: tuple[float, ...] = CLIP_STD
    text_arch: str | dict | None = None
    prompts: str | list[str] = 'vild'

    @classmethod
    def from_config(cls, config: Config) -> 'TowerDescription':
        """The tower of a configuration: of a distillation, an evaluation, a detector or a segmentor.

        Args:
            config: its ``model.backbone`` is a tower of this package.

        Raises:
            ValueError: it has none.
        """
        backbone = (config.get('model') or {}).get('backbone')
        if not backbone:
            raise ValueError(f"{config.filename}, field 'model.backbone': found nothing, expected a tower such as "
                             "dict(type='EVACLIPViT')")
        preprocessor, text = config.model.get('data_preprocessor') or {}, find_class_embeddings(config) or {}
        mean, std = (preprocessor.get(name) for name in ('mean', 'std'))
        unit = 255 if mean and max(mean) > 1 else 1  # MMDetection and MMSegmentation count in 0..255
        return cls(
            backbone=describe_backbone(backbone),
            image_size=preprocessor.get('image_size'),
            mean=tuple(x / unit for x in mean) if mean else CLIP_MEAN,
            std=tuple(x / unit for x in std) if std else CLIP_STD,
            text_arch=to_plain(text.get('text_encoder', {}).get('arch')),
            prompts=to_plain(text.get('prompts', 'vild')))

    @classmethod
    def from_meta(cls, meta: dict[str, Any], source: str) -> 'TowerDescription':
        """What `to_meta` wrote.

        Args:
            meta: of a checkpoint, its values as they were or as strings (safetensors).
            source: how messages name the file.

        Raises:
            CheckpointError: there is no description.
        """
        meta = {key: _decode(value) for key, value in meta.items()}
        if missing := [key for key in ('backbone', 'arch', 'readout') if key not in meta]:
            raise CheckpointError(f'{source}: found no {missing} in its metadata, expected a file that '
                                  'tools/converters/publish_backbone.py wrote. Other weights are loaded with their '
                                  'configuration: rsc_mm.load(CONFIG, checkpoint=FILE)')
        # MMEngine would import and call whatever a dotted name says: from a file only a registered tower is built.
        if str(meta['backbone']) not in MODELS.module_dict:
            raise CheckpointError(f"{source}: found the 'backbone' {meta['backbone']!r} in its metadata, expected a "
                                  "tower of rsc_mm such as 'EVACLIPViT'")
        fields = {**meta.get('backbone_fields', {}), 'type': meta['backbone'], 'arch': meta['arch'],
                  'readout': meta['readout']}
        rest = {key: meta[key] for key in ('image_size', 'text_arch', 'prompts') if key in meta}
        return cls(fields, mean=tuple(meta.get('mean', CLIP_MEAN)), std=tuple(meta.get('std', CLIP_STD)), **rest)

    def to_meta(self) -> dict[str, Any]:
        """Plain values for the metadata of a checkpoint."""
        fields = dict(self.backbone)
        meta = {'backbone': fields.pop('type'), 'arch': fields.pop('arch'), 'readout': fields.pop('readout'),
                'image_size': self.image_size, 'mean': list(self.mean), 'std': list(self.std),
                'text_arch': self.text_arch, 'prompts': self.prompts}
        meta.update({'backbone_fields': fields} if fields else {})
        return {key: value for key, value in meta.items() if value is not None}


def describe_backbone(backbone: dict[str, Any]) -> dict[str, Any]:
    """The fields of a backbone that change what it computes, defaults of ``arch`` and ``readout`` filled in.

    Args:
        backbone: of a configuration.

    Raises:
        ValueError: it is no tower of this package.
    """
    name = str(backbone['type']).rpartition('.')[2]
    tower = MODELS.get(f'rsc_mm.{name}')
    if tower is None or not tower.__module__.startswith('rsc_mm.'):
        raise ValueError(f"field 'model.backbone.type': found {backbone['type']!r}, expected a tower of rsc_mm such as "
                         "'EVACLIPViT'")
    defaults = {key: value.default for key, value in inspect.signature(tower).parameters.items()
                if key in ('arch', 'readout') and value.default is not inspect.Parameter.empty}
    given = {key: to_plain(value) for key, value in backbone.items() if key not in NOT_DESCRIBED}
    return {'type': name, **defaults, **given}


def find_class_embeddings(config: Config) -> dict | None:
    """The first ``class_embeddings`` with a text tower that a configuration evaluates or trains with.

    Args:
        config: the configuration.

    Returns:
        ``dict(text_encoder=..., prompts=...)``, or None.
    """
    evaluators = [config.get(name) or [] for name in ('val_evaluator', 'test_evaluator')]
    owners = [one for value in evaluators for one in (value if isinstance(value, list) else [value])]
    model = config.get('model') or {}
    owners += [model, model.get('rla') or {}, (model.get('roi_head') or {}).get('bbox_head') or {}]
    specs = [owner.get('class_embeddings') for owner in owners if hasattr(owner, 'get')]
    return next((spec for spec in specs if isinstance(spec, dict) and 'text_encoder' in spec), None)


def encode_meta(meta: dict[str, Any]) -> dict[str, str]:
    """Metadata as the strings that safetensors holds.

    Args:
        meta: plain values.
    """
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in meta.items()}


def to_plain(value: Any) -> Any:
    """A value of a configuration as dicts, lists and plain values.

    Args:
        value: of any kind.
    """
    if isinstance(value, dict):
        return {key: to_plain(item) for key, item in value.items() if key != '_delete_'}
    return [to_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def _decode(value: Any) -> Any:
    try:
        return json.loads(value) if isinstance(value, str) and value[:1] in '{[0123456789' and value else value
    except ValueError:  # of another code, such as the date of a training
        return value
