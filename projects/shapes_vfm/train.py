"""Trains a tiny vision foundation model, that of Shapes by default: python projects/shapes_vfm/train.py [CONFIG]

Goes on from the last checkpoint of the work directory, if there is one.
"""
import argparse
from pathlib import Path

import segments  # noqa: F401  registers SegmentTrainer
from mmengine.config import DictAction

from rsc_mm.apis import load_runner_config
from rsc_mm.apis.command_line import run_tool
from rsc_mm.engine import train
from rsc_mm.engine.memory import settle_memory

CONFIG = Path(__file__).with_name('shapes_vfm.py')


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('config', nargs='?', default=CONFIG, help='shapes_vfm.py or creatures_vfm.py')
    parser.add_argument('--work-dir', help='default: work_dirs/CONFIG NAME')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE')
    return parser.parse_args()


def main() -> None:
    """Trains."""
    args = parse_args()
    settle_memory()
    work_dir = args.work_dir or f'work_dirs/{Path(args.config).stem}'
    train(load_runner_config(args.config, args.cfg_options, work_dir), 'auto')


if __name__ == '__main__':
    run_tool(main)
