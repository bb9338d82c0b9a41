from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner

from rsc_mm.registry import HOOKS

from .run_report import write_run_report


@HOOKS.register_module()
class ReportHook(Hook):
    """Write ``report.md`` and ``curves.png`` into the work directory when a training has ended.

    They are made from what the run logged, before an interruption too. A report that cannot be written does not fail
    the training, whose checkpoints are saved by then: the log says why.
    """

    priority = 'LOWEST'  # after the last checkpoint and the last line of the log

    @master_only
    def after_train(self, runner: Runner) -> None:
        """Write both.

        Args:
            runner: the runner.
        """
        try:
            print_log(f'wrote {write_run_report(runner.cfg, runner.work_dir)}', 'current')
        except Exception as error:  # of any library below: hours of training must not end in a failure by a picture
            print_log(f'{runner.work_dir}/report.md: not written ({type(error).__name__}: {error}); the training is '
                      'complete and its checkpoints are saved', 'current', level=30)
