"""Evaluation of a configuration with a checkpoint's weights."""
from mmengine.config import Config
from mmengine.runner import Runner

TOWER_MODELS = ('rsc_mm.DenseCLIPSegmentor', )
"""Models in the scope of a host library that have no weights but the tower's."""


def evaluate(config: Config, checkpoint: str) -> dict[str, float]:
    """Metrics of a configuration's test_evaluator.

    A tower is a part of its model; a model in mmdet's or mmseg's scope is in its checkpoint as a whole, unless it has
    no weights of its own.

    Args:
        config: the configuration, see `rsc_mm.apis.load_runner_config`.
        checkpoint: weights of the tower, see `load_clip_checkpoint`, or what training saved of a whole model.
    """
    of_tower = config.default_scope == 'rsc_mm' or config.model.type in TOWER_MODELS
    return (evaluate_tower if of_tower else evaluate_whole)(config, checkpoint)


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
