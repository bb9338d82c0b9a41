"""Train any configuration: python tools/train.py configs/clipself/clipself_vitb16_coco_patches.py"""
import argparse

from mmengine.config import DictAction

from rsc_mm.apis import load_runner_config
from rsc_mm.apis.command_line import add_trust, run_tool
from rsc_mm.engine import train
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
    add_trust(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    settle_memory()
    config = load_runner_config(args.config, args.cfg_options, args.work_dir, args.launcher)
    train(config, args.resume)


if __name__ == '__main__':
    run_tool(main)
