"""Warm-ups that fit the training."""
from typing import Any

from mmengine.logging import print_log


def fit_warm_up(schedulers: Any, steps: int) -> Any:
    """Shorten a warm-up that training of a small data set would not outlive to a tenth of the steps.

    A warm-up is a LinearLR by step that begins at 0; what begins where it ended moves with it. Everything else stays.

    Args:
        schedulers: configs of learning rate schedules; anything else is returned as it is.
        steps: number of steps of the training.
    """
    if not isinstance(schedulers, list) or not all(isinstance(entry, dict) for entry in schedulers):
        return schedulers
    warm_ups = [entry for entry in schedulers if entry.get('type') == 'LinearLR' and not entry.get('by_epoch', True)
                and not entry.get('begin', 0)]
    warm_up: dict[str, Any] = warm_ups[0] if warm_ups else {}
    end, short = warm_up.get('end', 0), steps // 10
    if end <= steps and not (end == steps and any(entry.get('begin') == end for entry in schedulers)):
        return schedulers
    print_log(f'param_scheduler: found a warm-up of {end} steps for a training of {steps}; shortened to {short}',
              'current', level=30)
    fitted = [{**entry, **({'end': short} if entry is warm_up else {}),
               **({'begin': short} if entry.get('begin') == end else {})} for entry in schedulers]
    return [entry for entry in fitted if entry.get('end') != 0]
