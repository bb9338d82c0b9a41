"""Evaluation of a configuration with a checkpoint's weights."""
import json
import math
from pathlib import Path

from mmengine.config import Config
from mmengine.runner import Runner, load_checkpoint

TOWER_MODELS = ('rsc_mm.DenseCLIPSegmentor', )
"""Models in the scope of a host library that have no weights but the tower's."""
RESCORED = 'rsc_mm.RescoredDetector'
"""The model whose checkpoint is that of a detector, and whose tower comes from its ``init_cfg``."""


def evaluate(config: Config, checkpoint: str) -> dict[str, float]:
    """Metrics of a configuration's test_evaluator.

    A tower is a part of its model; a model in mmdet's or mmseg's scope is in its checkpoint as a whole, unless it has
    no weights of its own. Of a rescored detector the checkpoint is the detector's alone.

    Args:
        config: the configuration, see `rsc_mm.apis.load_runner_config`.
        checkpoint: weights of the tower, see `load_clip_checkpoint`, or what training saved of a whole model.
    """
    if config.model.type == RESCORED:
        return evaluate_rescored(config, checkpoint)
    of_tower = config.default_scope == 'rsc_mm' or config.model.type in TOWER_MODELS
    return (evaluate_tower if of_tower else evaluate_whole)(config, checkpoint)


def keep_predictions(config: Config, path: str | Path) -> None:
    """Have the evaluation write what it predicts for every image, as mmdet's and mmseg's own tools do.

    Args:
        config: changed in place.
        path: pickle file, .pkl or .pickle: a list of the data samples as dicts; masks are run-length coded.

    Raises:
        ValueError: another ending.
    """
    if Path(path).suffix not in ('.pkl', '.pickle'):
        raise ValueError(f'{path}: found the ending {Path(path).suffix!r}, expected .pkl or .pickle')
    kind = 'DumpDetResults' if config.default_scope == 'mmdet' else 'mmengine.DumpResults'
    metrics = config.test_evaluator if isinstance(config.test_evaluator, list) else [config.test_evaluator]
    config.test_evaluator = [*metrics, dict(type=kind, out_file_path=str(path))]


def draw_predictions(config: Config, folder: str | Path) -> None:
    """Have the evaluation draw annotations and predictions of every image side by side.

    Args:
        config: of a detector or segmentor; changed in place.
        folder: where the pictures go, under the names of the images.

    Raises:
        ValueError: the configuration has no pictures.
    """
    hooks = {'mmdet': dict(type='DetVisualizationHook', draw=True, test_out_dir=str(Path(folder).absolute())),
             'mmseg': dict(type='SegVisualizationHook', draw=True, interval=1)}
    if config.default_scope not in hooks:
        raise ValueError(f"{config.filename}, field 'default_scope': found {config.default_scope!r}, expected 'mmdet' "
                         "or 'mmseg': there are pictures of detectors and segmentors only; tools/analysis draws towers")
    config.default_hooks.visualization = hooks[config.default_scope]
    if config.default_scope == 'mmseg':
        config.visualizer.update(save_dir=str(folder), vis_backends=[dict(type='LocalVisBackend')])


def metrics_as_json(metrics: dict[str, float]) -> str:
    """Metrics as json, which has no nan: what is absent is null.

    Args:
        metrics: numbers by name.
    """
    plain = {name: None if isinstance(value, float) and math.isnan(value) else value
             for name, value in metrics.items()}
    return json.dumps(plain, indent=1)


def evaluate_tower(config: Config, checkpoint: str) -> dict[str, float]:
    """Metrics of a CLIP tower (or a Refiner) in its model.

    Args:
        config: the configuration.
        checkpoint: weights of the tower, see `load_clip_checkpoint`.
    """
    if config.model.type == 'RefinerTrainer':
        part = config.model.refiner
    elif config.model.type in TOWER_MODELS:
        part = config.model.backbone
    else:  # the tower without what trains it
        config.model = dict(type='RegionEncoder', backbone=config.model.backbone,
                            data_preprocessor=config.model.data_preprocessor)
        part = config.model.backbone
    part.init_cfg = dict(type='Pretrained', checkpoint=checkpoint)
    runner = Runner.from_cfg(config)
    getattr(runner.model, 'module', runner.model).init_weights()
    return runner.test()


def evaluate_whole(config: Config, checkpoint: str) -> dict[str, float]:
    """Metrics of a model whose checkpoint holds all of it; missing and unknown keys are an error.

    Args:
        config: the configuration.
        checkpoint: what training saved.
    """
    config.model.backbone.init_cfg = None
    runner = Runner.from_cfg(config)
    runner.load_checkpoint(checkpoint, strict=True)
    return runner.test()


def evaluate_rescored(config: Config, checkpoint: str) -> dict[str, float]:
    """Metrics of a stock detector whose boxes a CLIP tower names.

    Args:
        config: of a `RescoredDetector`; its field ``backbone.init_cfg`` names the tower's weights.
        checkpoint: weights of the field ``detector``, every one of them.
    """
    config.model.detector.backbone.init_cfg = None
    runner = Runner.from_cfg(config)
    model = getattr(runner.model, 'module', runner.model)
    model.backbone.init_weights()
    load_checkpoint(model.detector, checkpoint, map_location='cpu', strict=True)
    return runner.test()
