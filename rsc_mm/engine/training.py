"""One entry for training, with every check that can be made before it starts."""
from mmengine.config import Config
from mmengine.dist import get_dist_info
from mmengine.runner import Runner

from rsc_mm.utils.checkpoint import trust_checkpoint
from rsc_mm.utils.config_check import check_config

from .work_dir import checkpoint_to_resume, lock_work_dir


def train(config: Config, resume: str | None = None, trust: bool = False) -> Runner:
    """Train a configuration.

    Args:
        config: with ``work_dir`` and ``launcher``.
        resume: checkpoint to go on from, or 'auto' for the last one of the work directory.
        trust: unpickle the checkpoint as it is; **code inside it runs with your rights**.

    Returns:
        The runner, when training has ended.

    Raises:
        ValueError: the configuration, the work directory or the checkpoint is refused; the message says why.
        FileNotFoundError: there is no such checkpoint.
    """
    check_config(config)
    if config.launcher == 'none' or get_dist_info()[0] == 0:
        lock_work_dir(config.work_dir)
    config.resume = resume is not None or config.get('resume', False)
    if resume not in (None, 'auto'):
        config.load_from = resume
    elif config.resume and (resume == 'auto' or not config.get('load_from')):
        config.load_from = checkpoint_to_resume(config.work_dir)
        config.resume = config.load_from is not None
    if trust and config.load_from:
        trust_checkpoint(config.load_from)
    runner = Runner.from_cfg(config)
    runner.train()
    return runner
