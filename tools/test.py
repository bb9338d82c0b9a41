"""Evaluate a tower: python tools/test.py configs/evaluation/region_classification_vitb16.py CHECKPOINT
or a detector:    python tools/test.py configs/fvit/fvit_vitb16_ovcoco.py CHECKPOINT

For a tower CHECKPOINT is a CLIP checkpoint of any format that the README lists, or one that training saved; for a
detector it is the whole detector. The metrics also go to metrics.json in the work directory.
"""
import argparse
import json
from pathlib import Path

from mmengine.config import Config, DictAction
from mmengine.dist import is_main_process
from mmengine.runner import Runner
from train import load_config

import rsc_mm  # noqa: F401  registers every component


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='configuration file')
    parser.add_argument('checkpoint', help="weights: a file, or 'open_clip::MODEL/TAG'")
    parser.add_argument('--work-dir', help='where logs go; default: work_dirs/CONFIG NAME')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE',
                        help='override fields of the configuration, e.g. data_root=/data/coco')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    config = load_config(args)
    # A tower is a part of its model; a model in mmdet's or mmseg's scope is in its checkpoint as a whole.
    metrics = (test_tower if config.default_scope == 'rsc_mm' else test_whole)(config, args.checkpoint)
    if is_main_process():
        Path(config.work_dir, 'metrics.json').write_text(json.dumps(metrics, indent=1))


def test_tower(config: Config, checkpoint: str) -> dict[str, float]:
    """Metrics of a CLIP tower (or a Refiner) in its model.

    Args:
        config: the configuration.
        checkpoint: weights of the tower, see `load_clip_checkpoint`.
    """
    if config.model.type == 'RefinerTrainer':
        part = config.model.refiner
    else:  # the tower without what trains it
        config.model = dict(type='RegionEncoder', backbone=config.model.backbone,
                            data_preprocessor=config.model.data_preprocessor)
        part = config.model.backbone
    part.init_cfg = dict(type='Pretrained', checkpoint=checkpoint)
    runner = Runner.from_cfg(config)
    getattr(runner.model, 'module', runner.model).init_weights()
    return runner.test()


def test_whole(config: Config, checkpoint: str) -> dict[str, float]:
    """Metrics of a model whose checkpoint holds all of it; missing and unknown keys are an error.

    Args:
        config: the configuration.
        checkpoint: what training saved.
    """
    config.model.backbone.init_cfg = None
    runner = Runner.from_cfg(config)
    runner.load_checkpoint(checkpoint, strict=True)
    return runner.test()


if __name__ == '__main__':
    main()
