import random

import pytest
from mmengine.hooks import Hook
from mmengine.runner import Runner

from tests.test_engine.test_refiner_training import stage_1
from tests.test_engine.test_training import (  # noqa: F401  data is a fixture
    STEPS,
    KillAt,
    Losses,
    configure,
    data,
    equal,
    student,
    train,
)

pytestmark = pytest.mark.slow  # trains, or starts whole programs

NO_VAL = {'val_dataloader': None, 'val_cfg': None, 'val_evaluator': None}


def cached(path: object, **fields: object) -> dict:
    return {'model.targets': dict(type='CachedTargets', path=str(path)), **NO_VAL, **fields}


class Hits(Hook):
    def __init__(self) -> None:
        self.values = []

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict, outputs: dict) -> None:
        self.values.append(runner.message_hub.get_scalar('train/target_hits').current())


@pytest.mark.slow
def test_killed_while_targets_are_written_and_resumed_and_read_by_another_run(tmp_path):
    name, step = 'sc_clipself', random.SystemRandom().randrange(5, STEPS)
    whole = train(configure(tmp_path / 'whole', name, **cached(tmp_path / 'a')))
    with pytest.raises(KeyboardInterrupt):
        train(configure(tmp_path / 'killed', name, **cached(tmp_path / 'b')), KillAt(step))
    resumed = train(configure(tmp_path / 'killed', name, resume=True, **cached(tmp_path / 'b')))
    assert equal(student(whole), student(resumed)), f'killed at step {step}'
    hits = Hits()
    read = train(configure(tmp_path / 'read', name, **cached(tmp_path / 'a')), hits)
    assert hits.values == [1] * STEPS
    assert equal(student(whole), student(read))


@pytest.mark.slow
def test_regions_that_are_kept_are_known_in_the_next_epoch(tmp_path):
    hits, losses = Hits(), [Losses(), Losses()]
    kept = {'train_dataloader.dataset.redraw_every': 2}
    runner = Runner.from_cfg(configure(tmp_path / 'cached', **cached(tmp_path / 'cache', **kept)))
    runner.register_hook(hits)
    runner.register_hook(losses[0])
    runner.train()
    assert hits.values == [0] * (STEPS // 2) + [1] * (STEPS // 2)
    train(configure(tmp_path / 'uncached', **NO_VAL, **kept), losses[1])
    assert losses[0].values == pytest.approx(losses[1].values, abs=2e-3)


def test_the_refiner_killed_while_its_targets_are_written(tmp_path):
    """Regions are kept, so that the second epoch reads what the first wrote, before and after the kill."""
    kept, hits, step = {'train_dataloader.dataset.redraw_every': 2}, Hits(), random.SystemRandom().randrange(5, STEPS)
    whole = train(stage_1(tmp_path / 'whole', **cached(tmp_path / 'a', **kept)), hits)
    assert hits.values == [0] * (STEPS // 2) + [1] * (STEPS // 2)
    with pytest.raises(KeyboardInterrupt):
        train(stage_1(tmp_path / 'killed', **cached(tmp_path / 'b', **kept)), KillAt(step))
    resumed = train(stage_1(tmp_path / 'killed', resume=True, **cached(tmp_path / 'b', **kept)))
    assert equal(whole.model.refiner.state_dict(), resumed.model.refiner.state_dict()), f'killed at step {step}'
