import random

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from rsc_mm.datasets import Draw
from tests.test_engine.toy import Numbers, toy_runner


class RandomNumbers(Numbers):
    """Items drawn at random, as flips and crops are."""

    def __getitem__(self, draw: Draw) -> dict:
        drawn = (random.random(), np.random.rand(), torch.rand(()).item())
        return dict(inputs=torch.tensor(1.), data_samples=dict(img_path='', drawn=drawn))


class Recorder(Hook):
    def __init__(self) -> None:
        self.drawn = {}

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict, outputs: dict) -> None:
        drawn = self.drawn.setdefault(runner.epoch, [])
        drawn.extend(sample['drawn'] for sample in data_batch['data_samples'])


@pytest.mark.parametrize('workers', [0, 2])
def test_each_epoch_draws_other_numbers_and_a_resumed_one_the_same(tmp_path, workers):
    recorders = [Recorder(), Recorder()]
    for resume, recorder in enumerate(recorders):
        loader = dict(batch_size=4, num_workers=workers, sampler=dict(type='EpochSampler'),
                      collate_fn=dict(type='region_collate'), dataset=RandomNumbers(8))
        options = dict(resume=True, load_from=str(tmp_path / '0' / 'epoch_1.pth')) if resume else {}
        runner = toy_runner(
            tmp_path / str(resume), train_dataloader=loader, custom_hooks=[dict(type='EpochSeedHook')],
            default_hooks=dict(checkpoint=dict(type='SafeCheckpointHook', interval=1)), **options)
        runner.register_hook(recorder)
        runner.train()
    whole, resumed = (recorder.drawn for recorder in recorders)
    assert sorted(whole) == [0, 1] and sorted(resumed) == [1]
    assert np.unique([whole[0], whole[1]]).size == 2 * 8 * 3  # no number comes twice
    assert whole[1] == resumed[1]
