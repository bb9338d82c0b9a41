import pytest

from tests.test_engine.test_training import KillAt, configure, data, equal, student, train  # noqa: F401

pytestmark = pytest.mark.slow  # trains, or starts whole programs

BUDGET = {'train_dataloader.batch_sampler': dict(type='TokenBudgetBatchSampler', image_size=128, patch_size=8),
          'model.data_preprocessor.layout': 'rectangle', 'val_dataloader': None, 'val_cfg': None, 'val_evaluator': None}


@pytest.mark.slow
def test_killed_and_resumed_with_token_budgets(tmp_path):
    whole = train(configure(tmp_path / 'whole', **BUDGET))
    with pytest.raises(KeyboardInterrupt):
        train(configure(tmp_path / 'killed', **BUDGET), KillAt(7))
    resumed = train(configure(tmp_path / 'killed', resume=True, **BUDGET))
    assert whole.iter == resumed.iter == 2 * len(whole.train_dataloader)
    assert equal(student(whole), student(resumed))
