"""The three steps one after the other, and the test."""
from pathlib import Path

import torch
from mmengine.config import Config, ConfigDict
from mmengine.dist import barrier, is_main_process
from mmengine.runner import Runner

from rsc_mm.engine import train
from rsc_mm.utils.files import replacing

SHARED = ('backbone', 'num_codes', 'data_preprocessor')
STEPS = {
    'codebook': ('rsc_mm.CodebookStep', SHARED),
    'segment_head': ('rsc_mm.SegmentHeadStep',
                     (*SHARED, 'head', 'projection_channels', 'momentum', 'cell', 'bank_size', 'temperature')),
    'clusters': ('rsc_mm.ClusterStep', (*SHARED, 'head', 'num_classes', 'crf', 'score_scale', 'ignore_index')),
}
"""The model of each step, and which fields of the configuration's ``model`` it takes."""


def run(config: Config) -> dict[str, float]:
    """Train what is not trained yet, step after step, and evaluate.

    Each step has a folder of its own in the work directory, goes on by itself from its last checkpoint, and leaves
    ``NAME.pth``, which the next one starts from; a step that has left it is not repeated.

    Args:
        config: with ``steps``, ``work_dir`` and ``launcher``, see `rsc_mm.apis.load_runner_config`.

    Returns:
        The metrics of ``test_evaluator``.

    Raises:
        ValueError: the configuration is not one of all steps, or a step's training is refused.
        CheckpointError: what is in the work directory belongs to another tower.
    """
    start = None
    for name in STEPS:
        step = step_config(config, name, start)
        file = Path(config.work_dir, f'{name}.pth')
        if not file.is_file():
            export(train(step, 'auto'), file)
        start = str(file)
    return test(step_config(config, name, None), start)


def step_config(config: Config, name: str, start: str | None) -> Config:
    """The configuration of one step for MMEngine's Runner.

    Args:
        config: of all steps: ``model`` holds the fields of all their models, ``steps[NAME]`` what of the Runner is the
            step's own, such as ``train_cfg`` and ``optim_wrapper``.
        name: of `STEPS`.
        start: what the step before left.

    Raises:
        ValueError: ``steps`` or ``model`` has other fields.
    """
    check_fields(config)
    kind, names = STEPS[name]
    step = Config({key: value for key, value in config.to_dict().items() if key != 'steps'}, filename=config.filename)
    step.merge_from_dict(config.steps[name].to_dict())
    own = {key: config.model[key] for key in names if key in config.model}
    step.model = ConfigDict({**own, 'type': kind, 'start': start})
    step.work_dir = str(Path(config.work_dir, name))
    step.experiment_name = f'{Path(config.filename or "run").stem}_{name}'  # two steps may start in one second
    return step


def check_fields(config: Config) -> None:
    """Refuse a configuration that is not one of all steps.

    Args:
        config: see `step_config`.

    Raises:
        ValueError: ``steps`` or ``model`` has other fields.
    """
    known = {name for _, names in STEPS.values() for name in names}
    for field, expected in (('steps', set(STEPS)), ('model', known)):
        found = set(config.get(field) or ())
        if found - expected or (field == 'steps' and found != expected):
            raise ValueError(f'{config.filename}, field {field!r}: found {sorted(found)}, expected '
                             f'{sorted(expected)}: a configuration of projects/unsupervised_segmentation')


def export(runner: Runner, file: Path) -> None:
    """Write what a step learned, by the first process; the others wait.

    Args:
        runner: of the finished step.
        file: to write.
    """
    model = getattr(runner.model, 'module', runner.model)
    if is_main_process():
        weights = {key: value.detach().cpu().contiguous() for key, value in model.exported().items()}
        with replacing(file) as beside:
            torch.save({'state_dict': weights}, beside)
    barrier()


def test(config: Config, checkpoint: str) -> dict[str, float]:
    """Metrics of trained clusters.

    Args:
        config: of the last step.
        checkpoint: what that step left.
    """
    runner = Runner.from_cfg(config)
    getattr(runner.model, 'module', runner.model).init_weights()  # the tower's, which the checkpoint does not hold
    runner.load_checkpoint(checkpoint, strict=True)
    return runner.test()
