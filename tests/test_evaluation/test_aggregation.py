import sys
from itertools import permutations

import pytest
import torch

from rsc_mm.evaluation import aggregate, cut_submaps, embed_target, matched_iou, random_places, token_labels


def test_places_cover_every_cell_and_repeat_by_seed() -> None:
    places = random_places(500, 5, 3, torch.Generator().manual_seed(0))
    assert {tuple(place) for place in places.tolist()} == {(i, j) for i in range(3) for j in range(3)}
    assert torch.equal(places, random_places(500, 5, 3, torch.Generator().manual_seed(0)))
    assert torch.equal(random_places(2, 3, 3, torch.Generator()), torch.zeros(2, 2, dtype=torch.long))
    with pytest.raises(ValueError, match='found a square of 6 cells, expected 1 to 5'):
        random_places(1, 5, 6, torch.Generator())


def test_the_target_comes_out_where_it_was_put() -> None:
    patch, target = 4, torch.randn(3, 8, 8)
    contexts, places = torch.zeros(3, 3, 16, 16), torch.tensor([[0, 0], [2, 1], [1, 2]])
    mixed = embed_target(target, contexts, places, patch)
    assert not contexts.any()
    assert torch.equal(mixed[1, :, 8:16, 4:12], target) and mixed[1].count_nonzero() == target.count_nonzero()
    # A tower that mixes nothing: the mean of each patch.
    dense, alone = (torch.nn.functional.avg_pool2d(x, patch) for x in (mixed, target[None]))
    assert torch.equal(cut_submaps(dense, places, 2), alone.expand(3, -1, -1, -1))


def test_means_of_the_first_maps_equal_a_loop() -> None:
    submaps = torch.randn(5, 4, 2, 2, dtype=torch.double)
    means = aggregate(submaps, [1, 2, 5])
    for mean, n in zip(means, (1, 2, 5)):
        torch.testing.assert_close(mean, sum(submaps[i] for i in range(n)) / n)
    with pytest.raises(ValueError, match=r'found the counts \[1, 6\], expected numbers in 1..5'):
        aggregate(submaps, [1, 6])


def test_averaging_removes_independent_contamination() -> None:
    signal = torch.randn(4, 3, 3)
    noisy = signal + torch.randn(64, 4, 3, 3, generator=torch.manual_seed(0))
    errors = (aggregate(noisy, [1, 4, 16, 64]) - signal).square().mean((1, 2, 3)).sqrt()
    assert (errors.diff() < 0).all() and errors[3] == pytest.approx(errors[0].item() / 8, rel=0.35)


def test_labels_of_tokens() -> None:
    masks = torch.zeros(3, 4, 8, dtype=torch.uint8)
    masks[0, :, 0:3] = 1  # class 7, three quarters of the first two columns' four pixels
    masks[1, 0:2, 4:6] = 1  # class 2, two segments that together cover a whole cell of 4 x 4
    masks[2, 2:4, 4:6] = 1
    labels = torch.tensor([7, 2, 2])
    assert token_labels(masks, labels, (1, 2)).tolist() == [[7, -1]]  # a tie with nothing is nothing
    assert token_labels(masks, labels, (2, 4)).tolist() == [[7, -1, 2, -1], [7, -1, 2, -1]]
    assert token_labels(masks[:0], labels[:0], (2, 4)).tolist() == [[-1] * 4] * 2


def slow_iou(clusters: list[int], labels: list[int], classes: int) -> float:
    """The best of all one to one assignments, by sets."""
    kept = [(c, y) for c, y in zip(clusters, labels) if y >= 0]
    best = 0.
    for order in permutations(range(classes)):
        total = 0.
        for y, c in enumerate(order):
            own, true = ({i for i, p in enumerate(kept) if p[axis] == value} for axis, value in ((0, c), (1, y)))
            total += len(own & true) / len(own | true) if own | true else 0
        best = max(best, total)
    return 100 * best / len({y for _, y in kept})


def test_matched_iou_equals_a_slow_version() -> None:
    g = torch.manual_seed(5)
    labels = torch.randint(-1, 4, (40, ), generator=g)
    clusters = torch.where(torch.rand(40, generator=g) < 0.6, (labels + 1) % 4, torch.randint(4, (40, ), generator=g))
    score, _ = matched_iou(clusters, labels, 4)
    assert score == pytest.approx(slow_iou(clusters.tolist(), labels.tolist(), 4))


def test_a_missing_library_is_named_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'scipy.optimize', None)
    with pytest.raises(ImportError, match=r"Hungarian matching needs SciPy.*pip install -e '\.\[vis\]'"):
        matched_iou(torch.tensor([0, 1]), torch.tensor([0, 1]), 2)


def test_matched_iou_by_hand_and_properties() -> None:
    labels = torch.tensor([0, 0, 0, 2, 2, -1])
    score, assigned = matched_iou(torch.tensor([1, 1, 0, 0, 0, 1]), labels, 3)
    assert score == pytest.approx(100 * (2 / 3 + 2 / 3) / 2)  # over the two classes that occur
    assert assigned.tolist()[:2] == [2, 0]
    assert matched_iou(torch.tensor([5, 5, 5, 3, 3, 0]), labels, 3)[0] == pytest.approx(100)
    # More clusters than classes: the left over ones have no class.
    assert sorted(matched_iou(torch.tensor([0, 1, 2, 3, 4, 4]), labels, 3)[1].tolist())[:2] == [-1, -1]
    with pytest.raises(ValueError, match='found no annotated token'):
        matched_iou(torch.zeros(3, dtype=torch.long), torch.full((3, ), -1), 3)
