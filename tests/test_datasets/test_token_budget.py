import numpy as np
import pytest

from rsc_mm.apis.benchmarks.padding import measure
from rsc_mm.datasets import Draw, EpochSampler, TokenBudgetBatchSampler
from rsc_mm.datasets.token_budget import padding_share, token_grids
from rsc_mm.utils.regions import resized_shape

# What COCO has: few shapes that are frequent, many that are rare.
SHAPES = np.array([[480, 640]] * 6 + [[640, 480]] * 3 + [[427, 640], [640, 427], [426, 640], [375, 500], [333, 500]])


class Images:
    """A dataset of n images of COCO's shapes, some drawn at random."""

    def __init__(self, n: int) -> None:
        rng = np.random.default_rng(0)
        self.shapes = SHAPES[rng.integers(0, len(SHAPES), n)]
        odd = rng.random(n) < 0.1
        self.shapes[odd] = rng.integers(300, 641, (odd.sum(), 2))

    def __len__(self) -> int:
        return len(self.shapes)

    def aspect_ratios(self) -> np.ndarray:
        return self.shapes[:, 0] / self.shapes[:, 1]


def sampler(n: int, batch_size: int = 4, rank: int = 0, world: int = 1, epoch: int = 0, start: int = 0,
            **options: object) -> TokenBudgetBatchSampler:
    base = EpochSampler(Images(n), seed=3, **options)
    base.rank, base.world_size, base.start = rank, world, start
    base.set_epoch(epoch)
    return TokenBudgetBatchSampler(base, batch_size, 640, 16)


def drawn(batches: list[list[Draw]]) -> list[int]:
    return [draw.index for batch in batches for draw in batch]


def test_grids_are_those_of_the_preprocessor() -> None:
    shapes = np.random.default_rng(1).integers(1, 3000, (500, 2))
    expected = [[-(-side // 16) for side in resized_shape(tuple(shape), 640)] for shape in shapes.tolist()]
    np.testing.assert_array_equal(token_grids(shapes[:, 0] / shapes[:, 1], 640, 16), expected)


def test_padding_by_hand() -> None:
    grids = np.array([[2, 4], [3, 4], [4, 2]])
    assert padding_share([np.array([0, 1])], grids) == 1 - (8 + 12) / 24
    assert padding_share([np.array([0]), np.array([1, 2])], grids) == 1 - (8 + 12 + 8) / (8 + 2 * 16)


@pytest.mark.parametrize('n, world', [(1, 1), (1, 3), (50, 1), (1000, 1), (1001, 2), (1000, 3)])
@pytest.mark.parametrize('batch_size', [1, 4])
def test_every_image_is_in_an_epoch_and_no_batch_beyond_the_budget(n: int, world: int, batch_size: int) -> None:
    parts = [list(sampler(n, batch_size, rank, world)) for rank in range(world)]
    assert len({tuple(map(len, part)) for part in parts}) == 1, 'unequal images a step'
    images = sum(map(drawn, parts), [])
    assert set(images) == set(range(n)) and len(images) < n + world
    grids = sampler(n).grids
    for part in parts:
        for batch in part:
            assert len(batch) * grids[[d.index for d in batch]].max(0).prod() <= batch_size * 40**2


def test_batches_are_full_and_padding_is_small() -> None:
    for world in (1, 2):
        batches = sampler(4000, 4, 0, world)
        assert batches.padding < 0.03
        grids = batches.grids
        filled = [len(b) * grids[[d.index for d in b]].max(0).prod() / batches.budget for b in batches]
        assert np.mean(filled) > 0.8


def test_epochs_differ_have_equally_many_batches_and_repeat() -> None:
    first, second = list(sampler(300)), list(sampler(300, epoch=1))
    assert first == list(sampler(300)) and first != second
    assert len(first) == len(second) == len(sampler(300))
    assert {frozenset(d.index for d in b) for b in first} != {frozenset(d.index for d in b) for b in second}
    assert {(d.epoch, d.seed) for b in second for d in b} == {(1, 3)}


def test_it_resumes_in_the_middle_of_an_epoch() -> None:
    batches = sampler(300, start=4 * 7)
    whole = list(sampler(300))
    assert list(batches) == whole[7:] and list(batches) == whole


def test_without_shuffling_the_order_is_that_of_the_shapes() -> None:
    batches = list(sampler(100, shuffle=False))
    heights = [sampler(100).grids[d.index, 0] for b in batches for d in b]
    assert heights == sorted(heights)


def test_the_share_is_printed_beside_other_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = []
    monkeypatch.setattr('rsc_mm.datasets.token_budget.print_log', lambda line, logger: lines.append(line))
    rows = measure(Images(1000).shapes, 640, 16, 4)
    assert '1000 images in' in lines[0] and '% of the tokens are padding' in lines[0]
    square, like, tokens = (row['padding_percent'] for row in rows)
    assert square > 20 > like > tokens and tokens < 3


def test_misuse_is_named() -> None:
    with pytest.raises(TypeError, match=r'TokenBudgetBatchSampler\.sampler: found list, expected an EpochSampler'):
        TokenBudgetBatchSampler([1], 4, 640, 16)
    with pytest.raises(ValueError, match=r'image_size: found 650, expected a multiple of the patch size 16'):
        TokenBudgetBatchSampler(EpochSampler(Images(3), seed=0), 4, 650, 16)
