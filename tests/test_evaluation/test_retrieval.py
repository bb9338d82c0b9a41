import pytest
import torch
from torch.nn import functional as F

from rsc_mm.evaluation import recall, retrieval_ranks, retrieve, smallest_regions


def test_a_token_belongs_to_the_smallest_box_around_its_centre() -> None:
    # Centres at 2, 6, 10 px: the small box holds (2, 2) only, the large one all of the first two rows.
    boxes = torch.tensor([[0., 0, 12, 8], [1, 1, 5, 5]])
    assert smallest_regions(boxes, (3, 3), 4).tolist() == [[1, 0, 0], [0, 0, 0], [-1, -1, -1]]
    assert smallest_regions(boxes.flip(0), (3, 3), 4).tolist() == [[0, 1, 1], [1, 1, 1], [-1, -1, -1]]
    assert smallest_regions(boxes[:0], (1, 2), 4).tolist() == [[-1, -1]]
    # A centre on the right edge is outside, on the left edge inside.
    assert smallest_regions(torch.tensor([[2., 0, 6, 4]]), (1, 3), 4).tolist() == [[0, -1, -1]]


def test_ranks_by_hand() -> None:
    targets = torch.tensor([[2., 0], [0, 3], [1, 1]])
    queries = torch.tensor([[1., 0.1], [1, 0.9], [5, 5]])
    positives, negatives = torch.tensor([0, 0, 1]), torch.tensor([[1, 2], [1, 2], [0, 2]])
    # The second query is nearer to (1, 1) than to (1, 0); the third ties with (1, 0), which counts against it.
    assert retrieval_ranks(queries, targets, positives, negatives).tolist() == [0, 1, 2]


def test_ranks_equal_a_slow_version() -> None:
    g = torch.manual_seed(0)
    queries, targets = torch.randn(9, 4, generator=g), torch.randn(7, 4, generator=g)
    positives = torch.randint(0, 3, (9, ), generator=g)
    negatives = torch.randint(3, 7, (9, 3), generator=g)
    for q, rank in enumerate(retrieval_ranks(queries, targets, positives, negatives).tolist()):
        right, *wrong = (F.cosine_similarity(queries[q], targets[t], dim=0)
                         for t in (positives[q], *negatives[q]))
        assert rank == sum(bool(w >= right) for w in wrong)


def test_recall_by_hand() -> None:
    assert recall(torch.tensor([0, 0, 4, 5, 30])) == {'R@1': 40, 'R@5': 60, 'R@10': 80}
    with pytest.raises(ValueError, match='found no query'):
        recall(torch.zeros(0, dtype=torch.long))


def world(images: int, regions: int) -> tuple[list, list, list]:
    """Every region a direction of its own; three locations of each image lie in it, and one lies in none."""
    directions = torch.eye(images * regions).split(regions)
    answers = [torch.arange(regions).repeat_interleave(3) for _ in range(images)]
    queries = [torch.cat([rows[a], torch.zeros(1, images * regions)]) for rows, a in zip(directions, answers)]
    return queries, [torch.cat([a, torch.tensor([-1])]) for a in answers], list(directions)


def test_features_of_the_region_retrieve_it_and_those_of_another_do_not() -> None:
    queries, answers, targets = world(4, 2)
    ranks = retrieve(queries, answers, targets, 6, torch.Generator().manual_seed(0), chunk_size=4)
    assert torch.equal(ranks, torch.zeros(4 * 6, dtype=torch.long))
    # All six targets of the other images are the wrong answers, and among them is the one of the next image.
    ranks = retrieve(queries[1:] + queries[:1], answers, targets, 6, torch.Generator().manual_seed(0))
    assert torch.equal(ranks, torch.full((24, ), 6))  # the one of the next image; five ties of 0 with the right one


def test_wrong_answers_are_of_other_images_and_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    monkeypatch.setattr('rsc_mm.evaluation.retrieval.retrieval_ranks',
                        lambda part, joined, right, wrong: drawn.append((right, wrong)) or right)
    queries, answers, targets = world(5, 2)
    retrieve(queries, answers, targets, 5, torch.Generator().manual_seed(0))
    for i, (right, wrong) in enumerate(drawn):
        assert (right // 2 == i).all() and (wrong // 2 != i).all() and wrong.shape == (6, 5)
        assert all(len(set(row)) == 5 for row in wrong.tolist())
    assert len({tuple(row) for _, wrong in drawn for row in wrong.tolist()}) > 20


def test_chance_level() -> None:
    g = torch.Generator().manual_seed(0)
    queries = [torch.randn(200, 8, generator=g) for _ in range(6)]
    targets = [torch.randn(4, 8, generator=g) for _ in range(6)]
    answers = [torch.randint(0, 4, (200, ), generator=g) for _ in range(6)]
    figures = recall(retrieve(queries, answers, targets, 9, g), (1, 5, 10))
    assert figures['R@1'] == pytest.approx(10, abs=3) and figures['R@5'] == pytest.approx(50, abs=5)
    assert figures['R@10'] == 100


def test_too_few_images_are_refused() -> None:
    queries, answers, targets = world(3, 2)
    with pytest.raises(ValueError, match='found 4 in the other images, expected at least 5 wrong answers'):
        retrieve(queries, answers, targets, 5, torch.Generator())
    assert len(retrieve(queries, [torch.full_like(a, -1) for a in answers], targets, 2, torch.Generator())) == 0
