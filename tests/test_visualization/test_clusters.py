import pytest
import torch
from torch.nn import functional as F

from rsc_mm.visualization import cluster_maps, kmeans
from rsc_mm.visualization.clusters import lloyd, nearest_centre, plus_plus


def blobs(sizes: tuple[int, ...], noise: float = 0.05) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens close to one axis each, of any length, and their axis."""
    owner = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    g = torch.manual_seed(0)
    noise = noise * torch.randn(len(owner), 6, generator=g)
    length = 1 + 9 * torch.rand(len(owner), 1, generator=g)
    return (torch.eye(6)[owner] + noise) * length, owner


def test_clusters_are_the_directions_largest_first() -> None:
    tokens, owner = blobs((10, 30, 20))
    assert torch.equal(kmeans(tokens, 3), torch.tensor([2, 0, 1])[owner])
    shuffled = torch.randperm(60, generator=torch.manual_seed(1))
    assert torch.equal(kmeans(tokens[shuffled], 3), torch.tensor([2, 0, 1])[owner][shuffled])


def test_a_seed_repeats() -> None:
    tokens = torch.randn(200, 8)
    assert torch.equal(kmeans(tokens, 7, seed=3), kmeans(tokens, 7, seed=3))
    torch.manual_seed(123)
    first = kmeans(tokens, 7, seed=3)
    torch.manual_seed(456)
    assert torch.equal(first, kmeans(tokens, 7, seed=3))


def test_the_end_is_a_fixed_point_and_steps_never_worsen() -> None:
    tokens = F.normalize(torch.randn(100, 5, generator=torch.manual_seed(0)), dim=1)
    start = plus_plus(tokens, 4, torch.Generator().manual_seed(0))
    spreads = [lloyd(tokens, start, steps)[1] for steps in (1, 2, 4, 100)]
    assert spreads == sorted(spreads, reverse=True)
    assigned, spread = lloyd(tokens, start, 100)
    centres = torch.stack([tokens[assigned == c].mean(0) for c in range(4)])
    slow = torch.tensor([min(range(4), key=lambda c: (x - centres[c]).square().sum()) for x in tokens])
    assert torch.equal(assigned, slow) and torch.equal(assigned, nearest_centre(tokens, centres))
    assert spread == pytest.approx((tokens - centres[assigned]).square().sum().item(), rel=1e-5)


def test_more_starts_are_no_worse() -> None:
    tokens = F.normalize(torch.randn(150, 3, generator=torch.manual_seed(0)), dim=1)

    def spread(assigned: torch.Tensor) -> float:
        return sum((tokens[assigned == c] - tokens[assigned == c].mean(0)).square().sum().item() for c in range(8))
    assert spread(kmeans(tokens, 8, restarts=8)) <= spread(kmeans(tokens, 8, restarts=1)) + 1e-5


def test_first_centres_are_far_apart() -> None:
    tokens = F.normalize(blobs((100, 100, 2), noise=0.01)[0], dim=1)
    found = [nearest_centre(torch.eye(6)[:3], plus_plus(tokens, 3, torch.Generator().manual_seed(s))).unique().numel()
             for s in range(20)]
    assert sum(count == 3 for count in found) >= 17  # tokens drawn evenly would hit all three axes 3 % of the time


def test_fewer_different_tokens_than_clusters_leave_clusters_empty() -> None:
    assert kmeans(torch.ones(5, 3), 2).tolist() == [0] * 5
    assert kmeans(torch.eye(3), 3).sort().values.tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match='kmeans.clusters: found 6, expected 1 to 5, the number of tokens'):
        kmeans(torch.ones(5, 3), 6)


def padded_map(axis: int = 0) -> torch.Tensor:
    """A map (6, 5, 4): two halves of unlike tokens, and a last row that is half padding, unlike both."""
    tokens, _ = blobs((8, 8))
    tokens = torch.cat([tokens, F.one_hot(torch.full((4, ), 5), 6) + 0.1 * tokens[:4]])
    return tokens.roll(axis, 1).t().reshape(6, 5, 4)


def test_tokens_that_are_partly_padding_form_no_cluster() -> None:
    dense = padded_map()
    assert cluster_maps([dense], 3)[0][4].unique().tolist() == [2]  # without their extent: a cluster of their own
    assigned, = cluster_maps([dense], 2, whole=[(4, 4)])
    assert torch.equal(assigned[:4], kmeans(dense[:, :4].flatten(1).t(), 2).view(4, 4))
    assert assigned[:2].unique().numel() == assigned[2:4].unique().numel() == 1
    with pytest.raises(ValueError, match='found 17, expected 1 to 16, the number of tokens'):
        cluster_maps([dense], 17, whole=[(4, 4)])


def test_maps_are_clustered_one_by_one_or_together() -> None:
    maps = [padded_map(), padded_map(axis=2)]
    apart = cluster_maps(maps, 2, whole=[(4, 4)] * 2)
    together = cluster_maps(maps, 4, together=True, whole=[(4, 4)] * 2)
    assert all(len(grid[:4].unique()) == 2 for grid in apart + together)
    assert len(torch.stack(together)[:, :4].unique()) == 4
    tokens = torch.cat([dense[:, :4].flatten(1).t() for dense in maps])
    assert torch.equal(torch.stack(together)[:, :4].flatten(), kmeans(tokens, 4))


def test_more_clusters_than_different_tokens() -> None:
    assert cluster_maps([torch.ones(3, 2, 2)], 3, whole=[(2, 2)])[0].tolist() == [[0, 0], [0, 0]]
