import pytest
import torch
from mmengine.runner import Runner
from torch.utils.data import BatchSampler

from rsc_mm.datasets import EpochSampler
from rsc_mm.engine.warm_up import fit_warm_up
from rsc_mm.registry import DATA_SAMPLERS
from rsc_mm.utils.checkpoint import CheckpointError
from tests.test_engine.toy import KillAt, Numbers, toy_runner


@pytest.fixture
def killed(tmp_path):
    """A run of batches of 4 that was killed after 4 of 6 steps, that is 16 of 24 images; and what it saw."""
    runner = toy_runner(tmp_path, custom_hooks=[KillAt(4)])
    with pytest.raises(KeyboardInterrupt):
        runner.train()
    return tmp_path, runner.train_dataloader.dataset.seen[:16]


def order_of(epochs: int) -> list[int]:
    """Images in the order of an uninterrupted run."""
    sampler, order = EpochSampler(Numbers(), seed=0), []
    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        order += [draw.index for draw in sampler]
    return order


def resume(folder, batch_size: int, **fields: object) -> tuple[Runner, list[int]]:
    runner = toy_runner(folder, batch_size=batch_size, resume=True, **fields)
    runner.train()
    return runner, runner.train_dataloader.dataset.seen


def test_what_the_position_depends_on_is_saved(killed):
    meta = torch.load(killed[0] / 'iter_4.pth')['meta']
    assert meta['position'] == dict(seed=0, images=24, processes=1, batch_size=4, steps_per_epoch=6,
                                    accumulative_counts=1, steps_in_epoch=4, samples_in_epoch=16)


@pytest.mark.parametrize('batch_size', [4, 2, 8])
def test_another_batch_size_goes_on_at_the_next_image(killed, batch_size):
    folder, before = killed
    runner, seen = resume(folder, batch_size)
    assert before + seen == order_of(2) and runner.iter == runner.max_iters == 48 // batch_size


def test_the_learning_rate_is_that_of_the_new_schedule(killed):
    class Rates(KillAt):
        def __init__(self) -> None:
            self.rates = []

        def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None) -> None:
            self.rates.append(runner.optim_wrapper.get_lr()['lr'][0])

    whole, resumed = Rates(), Rates()
    toy_runner(killed[0] / 'whole', batch_size=2, custom_hooks=[whole]).train()
    resume(killed[0], 2, custom_hooks=[resumed])
    assert len(whole.rates) == 24 and resumed.rates == pytest.approx(whole.rates[8:])


def test_the_end_of_an_epoch_suits_every_batch_size(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        toy_runner(tmp_path, custom_hooks=[KillAt(6)]).train()
    for batch_size in (5, 24):  # 5 does not divide the images
        _, seen = resume(tmp_path / str(batch_size), batch_size, load_from=str(tmp_path / 'iter_6.pth'))
        assert seen == order_of(2)[24:]


def test_another_number_of_processes_with_the_same_joint_batch(killed):
    """As two processes with batches of 2 would have saved it."""
    folder, before = killed
    content = torch.load(folder / 'iter_4.pth')
    content['meta']['position'].update(processes=2, batch_size=2)
    torch.save(content, folder / 'iter_4.pth')
    assert before + resume(folder, 4)[1] == order_of(2)


def test_other_orders_go_on_with_the_saved_numbers_only(killed):
    """Which images meet in a batch of a token budget depends on every number."""
    class Pairs(BatchSampler):
        def __init__(self, sampler: EpochSampler, batch_size: int) -> None:
            super().__init__(sampler, batch_size, drop_last=False)

    DATA_SAMPLERS.register_module(name='Pairs', module=Pairs, force=True)
    loader = dict(batch_size=2, num_workers=0, sampler=dict(type='EpochSampler'), batch_sampler=dict(type='Pairs'),
                  collate_fn=dict(type='region_collate'), dataset=Numbers())
    with pytest.raises(CheckpointError, match=r'is no whole number of batches of 2 in the same order'):
        toy_runner(killed[0], resume=True, train_dataloader=loader).train()
    runner = toy_runner(killed[0], resume=True, train_dataloader={**loader, 'batch_size': 4})
    runner.train()
    assert killed[1] + runner.train_dataloader.dataset.seen == order_of(2)


@pytest.mark.parametrize('fields, expected', [
    (dict(batch_size=3), r'train_dataloader.batch_size 4 \(found 3\).*has seen 16 images of its epoch, which is no'),
    (dict(batch_size=24), r'train_dataloader.batch_size: .*16 images of its epoch.*no whole number of batches of 24'),
    (dict(batch_size=4, seed=1), r'randomness.seed: the checkpoint was saved with randomness.seed 0 \(found 1\)'),
    (dict(batch_size=4, images=Numbers(20)), r'train_dataloader.dataset 24 \(found 20\)'),
])
def test_numbers_that_do_not_allow_it_are_an_error(killed, fields, expected):
    with pytest.raises(CheckpointError, match=expected):
        resume(killed[0], **fields)


def test_a_checkpoint_without_position_must_lie_in_its_epoch(killed):
    """Those of earlier versions; a batch so large that the epoch was over ended without a word."""
    folder, before = killed
    content = torch.load(folder / 'iter_4.pth')
    del content['meta']['position']
    torch.save(content, folder / 'iter_4.pth')
    with pytest.raises(CheckpointError, match='at step 4 in epoch 0, found epochs of 1 steps; expected the number of'):
        resume(folder, 24)
    assert before + resume(folder, 4)[1] == order_of(2)


def test_only_what_training_saved_is_resumed(tmp_path):
    torch.save({'state_dict': {'weight': torch.ones(())}}, tmp_path / 'tower.pth')
    with pytest.raises(CheckpointError, match=r"holds no \['meta', 'message_hub', 'optimizer'\], expected one that"):
        toy_runner(tmp_path, resume=True, load_from=str(tmp_path / 'tower.pth')).train()


def test_a_sampler_that_cannot_begin_in_mid_epoch_says_so(killed):
    loader = dict(batch_size=4, num_workers=0, sampler=dict(type='DefaultSampler', seed=0), dataset=Numbers(),
                  collate_fn=dict(type='region_collate'))
    with pytest.raises(ValueError, match='found step 4 of 6 of an epoch, which DefaultSampler cannot begin at'):
        toy_runner(killed[0], resume=True, train_dataloader=loader).train()


WARM_UP = [dict(type='LinearLR', by_epoch=False, begin=0, end=1000, start_factor=1e-3),
           dict(type='CosineAnnealingLR', by_epoch=False, begin=1000)]


@pytest.mark.parametrize('steps, expected', [(3, [0]), (24, [2, 2]), (1000, [100, 100]), (1001, [1000, 1000])])
def test_a_warm_up_fits_the_training(steps, expected):
    fitted = fit_warm_up(WARM_UP, steps)
    assert [entry.get('end', entry['begin']) for entry in fitted] == expected
    assert WARM_UP[0]['end'] == 1000 and fit_warm_up(None, steps) is None


def test_other_schedules_stay():
    schedules = [dict(type='LinearLR', by_epoch=False, begin=0, end=12), dict(type='MultiStepLR', milestones=[2])]
    assert fit_warm_up(schedules, 12) is schedules
    assert fit_warm_up(schedules, 10) == [{**schedules[0], 'end': 1}, schedules[1]]


def test_sixty_images_train_with_a_warm_up_of_a_thousand_steps(tmp_path):
    runner = toy_runner(tmp_path, Numbers(60), 16, epochs=6, param_scheduler=WARM_UP)
    runner.train()
    assert runner.iter == 24 and runner.optim_wrapper.get_lr()['lr'][0] < 1e-3
