"""Train any configuration: python tools/train.py configs/clipself/clipself_vitb16_coco_patches.py"""
import argparse

from mmengine.config import DictAction
from mmengine.runner import Runner

import rsc_mm  # noqa: F401  registers every component
from rsc_mm.apis import load_runner_config
from rsc_mm.engine.memory import settle_memory


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='configuration file')
    parser.add_argument('--work-dir', help='where logs and checkpoints go; default: work_dirs/CONFIG NAME')
    parser.add_argument('--resume', nargs='?', const='auto', metavar='CHECKPOINT',
                        help='go on from a checkpoint; without a path from the last one in the work directory')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE',
                        help='override fields of the configuration, e.g. train_dataloader.batch_size=4')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    settle_memory()
    config = load_runner_config(args.config, args.cfg_options, args.work_dir, args.launcher)
    if args.resume:
        config.resume = True
        config.load_from = None if args.resume == 'auto' else args.resume
    Runner.from_cfg(config).train()


if __name__ == '__main__':
    main()
