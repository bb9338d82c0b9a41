import numpy as np
import pytest

from rsc_mm.datasets import AspectRatioBatchSampler, Draw, EpochSampler


class Images:
    """A dataset of n images with random aspect ratios."""

    def __init__(self, n: int) -> None:
        self.ratios = np.random.default_rng(0).uniform(0.5, 2, n)

    def __len__(self) -> int:
        return len(self.ratios)

    def aspect_ratios(self) -> np.ndarray:
        return self.ratios


def sampler(n: int, rank: int = 0, world: int = 1, epoch: int = 0, **options: object) -> EpochSampler:
    result = EpochSampler(Images(n), seed=3, **options)
    result.rank, result.world_size = rank, world
    result.set_epoch(epoch)
    return result


def test_an_epoch_holds_every_image_once_with_its_seeds() -> None:
    draws = list(sampler(10, epoch=2))
    assert sorted(d.index for d in draws) == list(range(10)) and [d.index for d in draws] != list(range(10))
    assert {(d.epoch, d.seed) for d in draws} == {(2, 3)}


def test_order_depends_on_seed_and_epoch_only() -> None:
    assert list(sampler(50)) == list(sampler(50))
    assert [d.index for d in sampler(50)] != [d.index for d in sampler(50, epoch=1)]
    assert [d.index for d in EpochSampler(Images(50), seed=4)] != [d.index for d in sampler(50)]


@pytest.mark.parametrize('n, world', [(10, 2), (11, 2), (11, 4), (2, 4)])
def test_processes_share_one_list(n: int, world: int) -> None:
    parts = [[d.index for d in sampler(n, rank, world)] for rank in range(world)]
    assert len({len(part) for part in parts}) == 1 == len({len(sampler(n, rank, world)) for rank in range(world)})
    joined = np.stack(parts, axis=1).flatten()
    assert set(joined) == set(range(n)) and joined.tolist()[:n] == [d.index for d in sampler(n)]
    assert joined.tolist()[n:] == joined.tolist()[:len(joined) - n]


@pytest.mark.parametrize('n, world', [(11, 2), (11, 4), (2, 4)])
def test_evaluation_has_every_image_exactly_once(n: int, world: int) -> None:
    samplers = [sampler(n, rank, world, shuffle=False, round_up=False) for rank in range(world)]
    parts = [[d.index for d in part] for part in samplers]
    assert sorted(sum(parts, [])) == list(range(n)) and [len(p) for p in parts] == [len(s) for s in samplers]


def test_start_skips_once() -> None:
    whole = list(sampler(20, 1, 2))
    resumed = sampler(20, 1, 2)
    resumed.start = 4
    assert list(resumed) == whole[4:] and list(resumed) == whole


def batches(n: int, rank: int = 0, world: int = 1, start: int = 0, **options: object) -> list[list[Draw]]:
    base = sampler(n, rank, world)
    base.start = start
    return list(AspectRatioBatchSampler(base, 4, **options))


@pytest.mark.parametrize('n, world', [(16, 1), (1001, 1), (1001, 3), (7, 2)])
def test_aspect_batches_hold_every_image(n: int, world: int) -> None:
    parts = [batches(n, rank, world) for rank in range(world)]
    assert len({tuple(len(batch) for batch in part) for part in parts}) == 1
    assert len(parts[0]) == len(AspectRatioBatchSampler(sampler(n, 0, world), 4))
    assert all(len(batch) == 4 for batch in parts[0][:-1])
    drawn = [d.index for part in parts for batch in part for d in batch]
    assert set(drawn) == set(range(n)) and len(drawn) == -(-n // world) * world


def test_aspect_batches_are_of_like_aspect_on_all_processes() -> None:
    ratios = Images(1000).ratios
    parts = [batches(1000, rank, 2) for rank in range(2)]
    spreads = [np.ptp([ratios[d.index] for part in parts for d in part[i]]) for i in range(len(parts[0]))]
    assert np.mean(spreads) < 0.1 < np.mean([np.ptp(ratios[i:i + 8]) for i in range(0, 1000, 8)])


def test_aspect_batches_come_in_random_order_and_repeat() -> None:
    assert batches(200) == batches(200)
    means = [np.mean([Images(200).ratios[d.index] for d in batch]) for batch in batches(200)]
    assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.5


def test_aspect_batches_resume_and_drop_the_last() -> None:
    assert batches(30, start=8) == batches(30)[2:]
    assert batches(30, drop_last=True) == batches(30)[:-1]
    assert len(AspectRatioBatchSampler(sampler(30), 4, drop_last=True)) == 7


def test_misuse_is_named() -> None:
    with pytest.raises(ValueError, match=r'EpochSampler\.start: found 3, expected a multiple of the batch size 4'):
        batches(30, start=3)
    with pytest.raises(ValueError, match=r'sampler\.round_up: found False, expected True'):
        AspectRatioBatchSampler(sampler(8, round_up=False), 4)
    with pytest.raises(TypeError, match=r'AspectRatioBatchSampler\.sampler: found list, expected an EpochSampler'):
        AspectRatioBatchSampler([1, 2], 4)
