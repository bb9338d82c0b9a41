"""Configurations are checked before anything is built or written."""
import difflib
import inspect

from mmengine.config import Config
from mmengine.runner import Runner

# What MMEngine reads beside the arguments of its Runner, and usual variables of the hosts.
OTHER_KEYS = {'train_pipeline', 'val_pipeline', 'test_pipeline', 'runner_type', 'custom_imports', 'model_wrapper_cfg',
              'sync_bn', 'compile', 'activation_checkpointing', 'efficient_conv_bn_eval', 'tta_model',
              'tta_pipeline', 'backend_args'}


def check_config(config: Config) -> Config:
    """Refuse misspelt fields of the top level, and make data loaders without workers possible.

    A configuration may hold variables of its own, such as ``data_root``; one that nearly has the name of a field is
    taken for a mistake.

    Args:
        config: changed in place.

    Returns:
        The same.

    Raises:
        ValueError: a field is misspelt; the message tells the nearest name.
    """
    for key in config.keys() - known_fields():
        nearest = difflib.get_close_matches(key, known_fields(), 1, 0.8)
        if nearest:
            raise ValueError(f'configuration {config.filename}: found the field {key!r}, which nothing reads; expected '
                             f'{nearest[0]!r}, or another name for a variable of your own')
    for part in ('train', 'val', 'test'):
        loader = config.get(f'{part}_dataloader')
        if loader and not loader.get('num_workers'):
            loader.update(persistent_workers=False)
            loader.pop('prefetch_factor', None)
    return config


def check_options(config: Config, options: dict) -> None:
    """Refuse overrides of a field that neither the configuration nor MMEngine has.

    Args:
        config: as it is in the file.
        options: overrides by dotted key.

    Raises:
        ValueError: there is no such field; the message tells the nearest names.
    """
    known = known_fields() | config.keys()
    for option in options:
        key = option.partition('.')[0]
        if key not in known:
            raise ValueError(f'--cfg-options {option}: {config.filename} has no field {key!r}, expected one such as '
                             f'{difflib.get_close_matches(key, known, 3, 0.4) or sorted(known)}')


def known_fields() -> set[str]:
    """Fields of the top level that MMEngine or its hosts read."""
    return (set(inspect.signature(Runner.__init__).parameters) - {'self', 'cfg'}) | OTHER_KEYS
