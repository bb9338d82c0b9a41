"""Train any configuration: python tools/train.py configs/clipself/clipself_vitb16_coco_patches.py"""
import argparse

import torch
from mmengine.config import Config, DictAction
from mmengine.runner import Runner

import rsc_mm  # noqa: F401  registers every component


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
    config = load_config(args)
    if args.resume:
        config.resume = True
        config.load_from = None if args.resume == 'auto' else args.resume
    Runner.from_cfg(config).train()


def load_config(args: argparse.Namespace) -> Config:
    """The configuration with the command line's overrides.

    Args:
        args: parsed arguments with config, cfg_options, launcher and work_dir.
    """
    config = Config.fromfile(args.config)
    config.merge_from_dict(args.cfg_options or {})
    config.launcher = args.launcher
    name = args.config.rpartition('/')[2].removesuffix('.py')
    config.work_dir = args.work_dir or config.get('work_dir') or f'work_dirs/{name}'
    if args.launcher == 'pytorch' and not torch.cuda.is_available():
        use_gloo(config)
    return config


def use_gloo(config: Config) -> None:
    """Several processes without a GPU: MMEngine's launcher selects a CUDA device, so the group is made here.

    Args:
        config: gets a model wrapper without devices.
    """
    torch.distributed.init_process_group('gloo')
    config.model_wrapper_cfg = dict(type='MMDistributedDataParallel', device_ids=None, broadcast_buffers=False)


if __name__ == '__main__':
    main()
