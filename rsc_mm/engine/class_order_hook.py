from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from rsc_mm.datasets.open_vocabulary import read_categories
from rsc_mm.models.text.vocabulary import class_order_difference
from rsc_mm.registry import HOOKS


@HOOKS.register_module()
class ClassOrderHook(Hook):
    """Refuse to train or test when labels do not mean the same to the detector and to its data.

    mmdet numbers the labels by the order of ``categories`` in the annotation file, whatever the order of ``classes``
    in the config; a file with other or fewer categories shifts every label without an error.
    """

    def before_train(self, runner: Runner) -> None:
        """Check the training set.

        Args:
            runner: the runner.

        Raises:
            ValueError: see `check_class_order`.
        """
        self._check(runner, runner.train_loop)

    def before_val(self, runner: Runner) -> None:
        """Check the validation set; arguments as `before_train`."""
        self._check(runner, runner.val_loop)

    def before_test(self, runner: Runner) -> None:
        """Check the test set; arguments as `before_train`."""
        self._check(runner, runner.test_loop)

    def _check(self, runner: Runner, loop: Any) -> None:
        model = getattr(runner.model, 'module', runner.model)
        if hasattr(model, 'roi_head'):
            return check_class_order(loop.dataloader.dataset, model.roi_head.bbox_head.classes)
        if hasattr(model, 'bbox_head'):
            return check_class_order(loop.dataloader.dataset, model.bbox_head.classes, 'bbox_head.classes')
        check_class_order(loop.dataloader.dataset, model.classes, 'classes')


def check_class_order(dataset: Any, classes: tuple[str, ...], field: str = 'roi_head.bbox_head.classes') -> None:
    """Compares the label order of a detection data set with the detector's.

    Args:
        dataset: mmdet's data set, in wrappers or not.
        classes: the detector's T classes.
        field: where they stand in its configuration, for the message.

    Raises:
        ValueError: the order differs; the message tells where.
    """
    while hasattr(dataset, 'dataset'):
        dataset = dataset.dataset
    chosen = list(dataset.metainfo['classes'])
    orders = {f"the data set's 'metainfo.classes' ({type(dataset).__name__})": chosen}
    if hasattr(dataset, 'cat_ids') and str(dataset.ann_file).endswith('.json'):
        names = {category['id']: category['name'] for category in read_categories(dataset.ann_file)}
        labels = [names[number] for number in dataset.cat_ids]
        # Where the file decides the labels, other spellings in metainfo change nothing but captions.
        orders = {f'annotation file {dataset.ann_file}': labels, **(orders if set(chosen) == set(labels) else {})}
    for source, found in orders.items():
        difference = class_order_difference(found, classes)
        if difference:
            raise ValueError(f"{source}: labels do not fit the detector's field '{field}': "
                             f'{difference}. Both must list the same names in the order of the annotation file, and '
                             'that file must list all classes, also those without annotations')
