from types import SimpleNamespace

import pytest

from rsc_mm.engine import LabelOrderHook

VOCABULARY = ('background', 'cat', 'diningtable')


def run(classes: tuple, batch: int = 0) -> None:
    loader = SimpleNamespace(dataset=SimpleNamespace(metainfo=dict(classes=classes)))
    runner = SimpleNamespace(model=SimpleNamespace(classes=VOCABULARY), test_dataloader=loader, val_dataloader=loader)
    LabelOrderHook().before_test_iter(runner, batch)
    LabelOrderHook().before_val_iter(runner, batch)


def test_another_spelling_passes_and_later_batches_are_not_checked():
    run(('background', 'cat ', 'table'))
    run(('cat', ), batch=1)


def test_a_class_more_or_another_order_is_refused():
    with pytest.raises(ValueError, match="found 2 classes from 'cat' to 'table', expected the 3 of the segmentor's"):
        run(('cat', 'table'))
    with pytest.raises(ValueError, match=r"found 'cat' at label 0, expected it at 1, .*\(2 names lie elsewhere"):
        run(('cat', 'background', 'table'))


def test_training_is_checked_once_wherever_it_is_resumed():
    def train(hook: LabelOrderHook, classes: tuple, batch: int) -> None:
        loader = SimpleNamespace(dataset=SimpleNamespace(metainfo=dict(classes=classes)))
        model = SimpleNamespace(classes=VOCABULARY)
        hook.before_train_iter(SimpleNamespace(model=model, train_dataloader=loader), batch)

    with pytest.raises(ValueError, match="found 1 classes from 'cat' to 'cat', expected the 3 of the segmentor's"):
        train(LabelOrderHook(), ('cat', ), 500)
    hook = LabelOrderHook()
    train(hook, VOCABULARY, 500)
    train(hook, ('cat', ), 501)
