"""One entry for training, with every check that can be made before it starts."""
from mmengine.config import Config
from mmengine.dist import broadcast_object_list, init_dist, is_distributed, is_main_process
from mmengine.runner import Runner

from rsc_mm.utils.config_check import check_config

from .work_dir import checkpoint_to_resume, lock_work_dir


def train(config: Config, resume: str | None = None) -> Runner:
    """Train a configuration.

    Args:
        config: with ``work_dir`` and ``launcher``, see `rsc_mm.apis.load_runner_config`.
        resume: checkpoint to go on from, or 'auto' for the last one of the work directory.

    Returns:
        The runner, when training has ended.

    Raises:
        ValueError: the configuration, the work directory or the checkpoint is refused; the message says why.
        FileNotFoundError: there is no such checkpoint.
    """
    check_config(config)
    if config.launcher != 'none' and not is_distributed():  # as MMEngine's Runner would
        init_dist(config.launcher, **config.get('env_cfg', {}).get('dist_cfg', {}))
    claim(config.work_dir)
    if resume is not None:
        config.load_from = checkpoint_to_resume(config.work_dir) if resume == 'auto' else resume
        config.resume = config.load_from is not None
    runner = Runner.from_cfg(config)
    runner.train()
    return runner


def claim(work_dir: str) -> None:
    """`lock_work_dir` by the first process; where it is refused, all stop.

    Args:
        work_dir: of the run.

    Raises:
        ValueError: on every process, if the first was refused.
    """
    refusal = [None]
    if is_main_process():
        try:
            lock_work_dir(work_dir)
        except (ValueError, OSError) as error:
            refusal = [str(error)]
    broadcast_object_list(refusal)
    if refusal[0]:
        raise ValueError(refusal[0])
