from collections.abc import Sequence
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from rsc_mm.registry import HOOKS


@HOOKS.register_module()
class LabelOrderHook(Hook):
    """Refuse to train or evaluate a segmentor whose classes are not those of its data, in the same order.

    A segmentor by text numbers its labels by its own vocabulary. Where that has a class more, such as a background, or
    another order, every label is shifted and the metric falls without an error.
    """

    def __init__(self) -> None:
        self._trained = False

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Check before the first batch of this run, when the model is in training mode and has the classes of training.

        Args:
            runner: the runner.
            batch_idx: number of the batch, not 0 after a resumption.
            data_batch: not used.

        Raises:
            ValueError: see `check_label_order`.
        """
        if not self._trained:
            self._check(runner, 0, runner.train_dataloader)
        self._trained = True

    def before_val_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Check before the first batch, when the model is in eval mode and has the classes of test.

        Args:
            runner: the runner.
            batch_idx: number of the batch.
            data_batch: not used.

        Raises:
            ValueError: see `check_label_order`.
        """
        self._check(runner, batch_idx, runner.val_dataloader)

    def before_test_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Check before the first batch; arguments as `before_val_iter`."""
        self._check(runner, batch_idx, runner.test_dataloader)

    def _check(self, runner: Runner, batch_idx: int, loader: Any) -> None:
        model = getattr(runner.model, 'module', runner.model)
        if batch_idx == 0:
            check_label_order(loader.dataset.metainfo['classes'], model.classes)


def check_label_order(found: Sequence[str], expected: Sequence[str]) -> None:
    """Compares the labels of a data set with a segmentor's; a class may be spelled differently.

    Args:
        found: the data set's classes.
        expected: the segmentor's.

    Raises:
        ValueError: their numbers differ, or a name that both have is another label.
    """
    if len(found) != len(expected):
        raise ValueError(f"the data set's 'metainfo.classes': found {len(found)} classes from {found[0]!r} to "
                         f"{found[-1]!r}, expected the {len(expected)} of the segmentor's vocabulary, from "
                         f'{expected[0]!r} to {expected[-1]!r}, in the same order; change one of the two')
    label = {name.strip(): i for i, name in enumerate(expected)}
    moved = [(i, name) for i, name in enumerate(found) if label.get(name.strip(), i) != i]
    if moved:
        i, name = moved[0]
        raise ValueError(f"the data set's 'metainfo.classes': found {name!r} at label {i}, expected it at "
                         f"{label[name.strip()]}, where the segmentor's vocabulary has it ({len(moved)} names lie "
                         'elsewhere); both must list the classes in the same order')
