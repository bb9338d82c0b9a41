"""What a model card says about a training."""
import json
from pathlib import Path
from typing import Any

import timm
from mmengine.config import Config


def summarise_run(config: Config, checkpoint: str | Path, metrics: str | Path | None = None) -> dict[str, Any]:
    """Recipe, data, metrics, original tower and teacher of a training.

    Args:
        config: its configuration.
        checkpoint: what it saved.
        metrics: metrics.json of tools/test.py; None: the last validation in the log beside the checkpoint.

    Returns:
        ``recipe``, ``data``, ``original`` and ``teacher`` as text, the last two with their licences by timm;
        ``metrics`` by name.
    """
    figures = json.loads(Path(metrics).read_text()) if metrics else last_validation(Path(checkpoint).parent)
    return dict(recipe=_recipe(config), data=_data(config), metrics=figures,
                original=name_weights(config.model.get('backbone') or {}), teacher=_teacher(config))


def last_validation(folder: Path) -> dict[str, float]:
    """Metrics of the last validation that a work directory's logs hold.

    Args:
        folder: of MMEngine.
    """
    for log in sorted(folder.glob('*/vis_data/scalars.json'), reverse=True):
        rows = [json.loads(line) for line in log.read_text().splitlines() if line.startswith('{')]
        found = [row for row in rows if 'loss' not in row and 'step' in row]
        if found:
            return {key: value for key, value in found[-1].items()
                    if key not in ('step', 'data_time', 'time') and not isinstance(value, str)}
    return {}


def name_weights(part: dict[str, Any]) -> str:
    """Architecture, file and licence of the weights that a part of a configuration starts from.

    Args:
        part: a tower, or a teacher around one.
    """
    arch = part.get('arch')
    if isinstance(arch, dict) and 'arch' in arch:  # a teacher that is one of our towers
        return name_weights(arch)
    known = isinstance(arch, str)
    file = Path(str((part.get('init_cfg') or {}).get('checkpoint', ''))).name
    return ', '.join(text for text in (f'`{arch}`' if known else f'`{part.get("type")}` of an own size', file,
                                       f'licence: {licences(arch) if known else "not stated"}') if text)


def licences(arch: str) -> str:
    """The licences of the public weights of an architecture as timm states them, such as 'mit (merged2b)'.

    Args:
        arch: timm's name.
    """
    by_licence: dict[str, list[str]] = {}
    for name in timm.list_pretrained(f'{arch}.*'):
        if '_ft_' not in name:  # classifiers made of the towers
            by_licence.setdefault(timm.get_pretrained_cfg(name).license, []).append(name.partition('.')[2])
    known = '; '.join(f'{licence} ({", ".join(tags)})' for licence, tags in by_licence.items() if licence)
    return known or 'not stated'


def _teacher(config: Config) -> str:
    if not config.get('optim_wrapper'):  # of an evaluation, which has none
        return ''
    teacher, vision = (config.model.get(name) for name in ('teacher', 'vfm'))
    own = name_weights(teacher) if teacher else 'the original tower'
    return '; '.join([own, *([name_weights(vision)] if vision else [])])


def _recipe(config: Config) -> str:
    parts = [str(config.model.get('type', '')).rpartition('.')[2]]
    optimizer = (config.get('optim_wrapper') or {}).get('optimizer') or {}
    if optimizer:
        parts.append(f'{optimizer.get("type")} at {optimizer.get("lr")}')
    train, loader = config.get('train_cfg') or {}, config.get('train_dataloader') or {}
    for value, unit in ((train.get('max_epochs'), 'epochs'), (loader.get('batch_size'), 'images a process')):
        parts += [f'{value} {unit}'] if value else []
    return ', '.join(part for part in parts if part)


def _data(config: Config) -> str:
    dataset = (config.get('train_dataloader') or {}).get('dataset') or {}
    parts = [dataset.get('ann_file'), dataset.get('img_prefix'), (dataset.get('regions') or {}).get('type')]
    return ', '.join(str(part) for part in parts if part)
