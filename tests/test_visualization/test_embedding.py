import importlib.util
import sys

import pytest
import torch
from torch.nn import functional as F

from rsc_mm.visualization import knn_accuracy, silhouette, tsne

needs_sklearn = pytest.mark.skipif(importlib.util.find_spec('sklearn') is None,
                                   reason="scikit-learn is not installed: pip install -e '.[vis]'")


def groups(noise: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Three categories of 12 features along three axes."""
    labels = torch.arange(3).repeat_interleave(12)
    return torch.eye(8)[labels] + noise * torch.randn(36, 8, generator=torch.manual_seed(0)), labels


def test_neighbours_by_hand() -> None:
    # Angles 0, 10, 20, 60, 100 degrees; the nearest other of 60 is at 20, that of 100 at 60.
    angles = torch.deg2rad(torch.tensor([0., 10, 20, 61, 100]))
    features = torch.stack([angles.cos(), angles.sin()], dim=1) * torch.tensor([[1.], [2], [3], [4], [5]])
    assert knn_accuracy(features, torch.tensor([0, 0, 0, 1, 1]), k=1) == pytest.approx(100)
    assert knn_accuracy(features, torch.tensor([0, 0, 1, 0, 1]), k=1) == pytest.approx(40)
    # With two neighbours of two classes the nearer one decides.
    assert knn_accuracy(features[:3], torch.tensor([0, 0, 1]), k=2) == pytest.approx(200 / 3)


def test_neighbours_equal_a_slow_version() -> None:
    features, labels = groups(0.8)
    right = 0
    for i, x in enumerate(features):
        cosine = F.cosine_similarity(x[None], features, dim=1)
        others = sorted((j for j in range(36) if j != i), key=lambda j: -cosine[j])[:5]
        votes = {c: (sum(labels[j] == c for j in others).item() if others else 0,
                     sum(cosine[j].item() for j in others if labels[j] == c)) for c in range(3)}
        right += max(votes, key=votes.get) == labels[i]
    assert knn_accuracy(features, labels, k=5) == pytest.approx(100 * right / 36)


def test_silhouette_by_hand_and_against_a_slow_version() -> None:
    # Cosine distances: 0 within each pair, 1 between them.
    assert silhouette(torch.eye(2)[[0, 0, 1, 1]], torch.tensor([3, 3, 5, 5])) == pytest.approx(1)
    assert silhouette(torch.eye(2)[[0, 0, 1, 1]], torch.tensor([3, 5, 3, 5])) == pytest.approx(-0.5)
    features, labels = groups(0.5)
    labels[0] = 7  # a category of one object counts 0
    distance = 1 - F.normalize(features, dim=1) @ F.normalize(features, dim=1).t()
    scores = []
    for i in range(36):
        mean = {c: distance[i, [j for j in range(36) if labels[j] == c and j != i]].mean().item()
                for c in {*labels.tolist()} - ({7} if i == 0 else set())}
        nearest = min(value for c, value in mean.items() if c != labels[i])
        scores.append(0 if i == 0 else (nearest - mean[labels[i].item()]) / max(nearest, mean[labels[i].item()]))
    assert silhouette(features, labels) == pytest.approx(sum(scores) / 36, abs=1e-5)


def test_both_fall_with_noise() -> None:
    clean, noisy = groups(0.05), groups(2.)
    assert knn_accuracy(*clean) == 100 > knn_accuracy(*noisy)
    assert silhouette(*clean) > 0.9 > silhouette(*noisy)


@needs_sklearn
def test_the_plane_keeps_the_groups_apart_and_repeats() -> None:
    features, labels = groups(0.05)
    plane = tsne(features, seed=0)
    assert plane.shape == (36, 2) and torch.equal(plane, tsne(features, seed=0))
    distance = torch.cdist(plane, plane).fill_diagonal_(torch.inf)
    assert torch.equal(labels[distance.argmin(1)], labels)


def test_a_missing_library_is_named_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'sklearn.manifold', None)
    monkeypatch.setitem(sys.modules, 'sklearn', None)
    with pytest.raises(ImportError, match=r"t-SNE needs scikit-learn.*pip install -e '\.\[vis\]'"):
        tsne(torch.randn(5, 3))


def test_misfits_are_named() -> None:
    with pytest.raises(ValueError, match='knn_accuracy.k: found 10 for 10 features, expected 1 to 9'):
        knn_accuracy(torch.randn(10, 3), torch.zeros(10, dtype=torch.long))
    with pytest.raises(ValueError, match='silhouette.labels: found 1 class, expected at least 2'):
        silhouette(torch.randn(4, 3), torch.zeros(4, dtype=torch.long))
    with pytest.raises(ValueError, match='tsne.features: found 3, expected at least 4'):
        tsne(torch.randn(3, 3))
