"""What a model card says about a training."""
import json
from pathlib import Path
from typing import Any

from mmengine.config import Config


def summarise_run(config: Config, checkpoint: str | Path, metrics: str | Path | None = None) -> dict[str, Any]:
    """Recipe, data and metrics of a training.

    Args:
        config: its configuration.
        checkpoint: what it saved.
        metrics: metrics.json of tools/test.py; None: the last validation in the log beside the checkpoint.

    Returns:
        ``recipe`` and ``data`` as text, ``metrics`` by name.
    """
    figures = json.loads(Path(metrics).read_text()) if metrics else last_validation(Path(checkpoint).parent)
    return dict(recipe=_recipe(config), data=_data(config), metrics=figures)


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
