"""The report of a training: its recipe, curves and figures, in Markdown beside the checkpoints."""
import statistics
from pathlib import Path
from typing import Any

from mmengine.config import Config

from rsc_mm.utils.files import replacing
from rsc_mm.utils.tables import markdown_table
from rsc_mm.visualization.curves import draw_curves

from .safe_checkpoint_hook import last_checkpoint
from .training_log import TrainingLog, read_training_log

HEADLINES = ('top1', 'macc', 'miou', 'ap50', 'pq')
"""Metrics whose curves are drawn; where a run has none of them, all are."""


def write_run_report(config: Config, work_dir: str | Path) -> Path:
    """Write ``report.md`` and ``curves.png`` from what the run logged; written again, they are replaced.

    Args:
        config: of the training.
        work_dir: with its logs and checkpoints.

    Returns:
        The report.

    Raises:
        OSError: a file could not be written.
        ValueError: a log is damaged, see `read_training_log`.
    """
    work_dir, log = Path(work_dir), read_training_log(work_dir)
    if log.steps:
        draw_curves(curve_groups(log), work_dir / 'curves.png')
    with replacing(work_dir / 'report.md') as beside:
        beside.write_text(report_text(config, work_dir, log), encoding='utf-8')
    return work_dir / 'report.md'


def report_text(config: Config, work_dir: Path, log: TrainingLog) -> str:
    """The report in Markdown.

    Args:
        config: of the training.
        work_dir: of the run.
        log: what it logged.
    """
    facts = [['recipe', describe_recipe(config)], ['data', describe_data(config)], *_figures(log),
             ['last checkpoint', Path(last_checkpoint(work_dir) or 'none').name]]
    lines = [f'# {work_dir.name}', '', markdown_table(['', ''], [row for row in facts if row[1]]), '']
    if log.steps:
        lines += ['![curves over the steps of training](curves.png)', '']
    else:
        lines += ["No curves: the run logged no step (the fields 'default_hooks.logger.interval' and "
                  "'visualizer.vis_backends' decide what is logged).", '']
    if log.validations:
        rows = [[key, f'{value:.4g}'] for key, value in log.validations[-1].items()]
        lines += [f'## Validation after step {log.validated_at[-1]}', '', markdown_table(['metric', 'value'], rows), '']
    return '\n'.join(lines)


def curve_groups(log: TrainingLog) -> dict[str, dict[str, tuple[list[int], list[float]]]]:
    """Curves by what they measure: losses, metrics, seconds a step, padding.

    Args:
        log: what a training logged.
    """
    losses = dict.fromkeys(key for row in log.steps for key in row if 'loss' in key)
    metrics = list(dict.fromkeys(key for row in log.validations for key in row))
    steps, shares = log.curve('padding')
    return {'loss': {key: log.curve(key) for key in losses},
            'validation': {key: log.metric(key) for key in headline_metrics(metrics)},
            'seconds a step': {'step': log.curve('time'), 'of it waiting for data': log.curve('data_time')},
            'padding (% of tokens)': {'padding': (steps, [100 * share for share in shares])}}


def headline_metrics(metrics: list[str]) -> list[str]:
    """The metrics that are drawn: all of them in one panel could not be told apart.

    Args:
        metrics: names of a validation. Beside mIoU neither mAcc nor the other convention of both is drawn.
    """
    found = [key for key in metrics if any(name in key.lower() for name in HEADLINES)] or metrics
    if any('miou' in key.lower() for key in found):
        found = [key for key in found if 'macc' not in key.lower() and 'present' not in key]
    return found


def describe_recipe(config: Config) -> str:
    """Method, optimizer, length and batch of a training, in words.

    Args:
        config: its configuration.
    """
    parts = [str((config.get('model') or {}).get('type', '')).rpartition('.')[2]]
    optimizer = (config.get('optim_wrapper') or {}).get('optimizer') or {}
    if optimizer:
        parts.append(f'{optimizer.get("type")} at {optimizer.get("lr")}')
    train, loader = config.get('train_cfg') or {}, config.get('train_dataloader') or {}
    for value, unit in ((train.get('max_epochs'), 'epochs'), (train.get('max_iters'), 'steps'),
                        (loader.get('batch_size'), 'images a process')):
        parts += [f'{value} {unit}'] if value else []
    return ', '.join(part for part in parts if part)


def describe_data(config: Config) -> str:
    """Files and regions of a training, in words.

    Args:
        config: its configuration.
    """
    dataset: Any = (config.get('train_dataloader') or {}).get('dataset') or {}
    parts = [dataset.get('ann_file'), dataset.get('img_prefix'), (dataset.get('regions') or {}).get('type')]
    return ', '.join(str(part) for part in parts if part)


def _figures(log: TrainingLog) -> list[list[str]]:
    rows = []
    if log.steps:
        rows += [['last logged step', str(log.steps[-1]['step'])], ['last loss', f'{log.steps[-1]["loss"]:.4g}']]
    if times := log.curve('time')[1]:
        rows.append(['seconds a step, median', f'{statistics.median(times):.3g}'])
    if shares := log.curve('padding')[1]:
        rows.append(['padding', f'{100 * statistics.mean(shares):.1f} % of the tokens'])
    return rows
