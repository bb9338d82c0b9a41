"""Configurations from files."""
from pathlib import Path

import torch
from mmengine.config import Config

from rsc_mm.utils.config_check import check_config, check_options


def load_config(path: str | Path, options: dict | None = None) -> Config:
    """A configuration with overrides.

    Args:
        path: configuration file.
        options: overrides by dotted key, as --cfg-options gives them.

    Raises:
        FileNotFoundError: there is no such file.
        IsADirectoryError: it is a folder.
        ValueError: a field of the top level is misspelt, see `check_config`.

    Examples:
        >>> config = load_config('configs/shapes/region_classification.py', {'test_dataloader.batch_size': 2})
        >>> config.test_dataloader.batch_size
        2
    """
    if Path(path).is_dir():
        raise IsADirectoryError(f'configuration {path}: found a folder, expected a file such as '
                                'configs/clipself/clipself_vitb16_coco_patches.py')
    if not Path(path).is_file():
        raise FileNotFoundError(f'configuration {path}: no such file')
    config = Config.fromfile(path)
    check_options(config, options or {})
    config.merge_from_dict(options or {})
    return check_config(config)


def load_runner_config(path: str | Path, options: dict | None = None, work_dir: str | None = None,
                       launcher: str = 'none') -> Config:
    """A configuration for MMEngine's Runner.

    A data loader of ``num_workers=0`` has no workers to keep: its ``persistent_workers`` is unset, which PyTorch would
    refuse.

    Args:
        path: configuration file.
        options: overrides by dotted key.
        work_dir: where logs and checkpoints go; default: the configuration's, else work_dirs/NAME OF THE FILE.
        launcher: 'none', 'pytorch', 'slurm' or 'mpi'. 'pytorch' on a machine without a GPU makes the group of processes
            here (gloo), because MMEngine's launcher selects a CUDA device.
    """
    config = load_config(path, options)
    config.launcher = launcher
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        loader = config.get(name) or {}
        if loader.get('num_workers') == 0 and loader.get('persistent_workers'):
            loader.persistent_workers = False
    config.work_dir = work_dir or config.get('work_dir') or f'work_dirs/{Path(path).stem}'
    if launcher == 'pytorch' and not torch.cuda.is_available():
        torch.distributed.init_process_group('gloo')
        config.model_wrapper_cfg = dict(type='MMDistributedDataParallel', device_ids=None, broadcast_buffers=False)
    return config
