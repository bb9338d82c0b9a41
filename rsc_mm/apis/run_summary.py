"""What a model card says about a training."""
import json
from pathlib import Path
from typing import Any

import timm
from mmengine.config import Config

from rsc_mm.engine.run_report import describe_data, describe_recipe
from rsc_mm.engine.training_log import read_training_log


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
    return dict(recipe=describe_recipe(config), data=describe_data(config), metrics=figures,
                original=name_weights(config.model.get('backbone') or {}), teacher=_teacher(config))


def last_validation(folder: Path) -> dict[str, float]:
    """Metrics of the last validation that a work directory's logs hold.

    Args:
        folder: of MMEngine.
    """
    validations = read_training_log(folder).validations
    return validations[-1] if validations else {}


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
