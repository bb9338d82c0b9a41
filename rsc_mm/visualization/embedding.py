"""Object features in the plane, and a number beside the picture."""
import torch
from torch.nn import functional as F

from rsc_mm.utils.dependencies import optional_module
from rsc_mm.utils.precision import full_precision


@full_precision
def tsne(features: torch.Tensor, seed: int = 0, perplexity: float = 30) -> torch.Tensor:
    """t-SNE of unit features into the plane (van der Maaten & Hinton, 2008), by scikit-learn, started from PCA.

    Args:
        features: (M, D).
        seed: of the optimisation.
        perplexity: effective number of neighbours; lowered to (M - 1) / 3 for few features.

    Returns:
        (M, 2) float32.

    Raises:
        ImportError: scikit-learn is not installed; the message names the extra.
        ValueError: there are fewer than 4 features.
    """
    if len(features) < 4:
        raise ValueError(f'tsne.features: found {len(features)}, expected at least 4')
    manifold = optional_module('sklearn.manifold', 'scikit-learn', 't-SNE')
    unit = F.normalize(features, dim=1).cpu().numpy()
    method = manifold.TSNE(perplexity=min(perplexity, (len(unit) - 1) / 3), init='pca', random_state=seed)
    return torch.from_numpy(method.fit_transform(unit))


@full_precision
def knn_accuracy(features: torch.Tensor, labels: torch.Tensor, k: int = 10) -> float:
    """Share of features whose k nearest others, by cosine, mostly have their class; in percent, leave-one-out.

    Of classes with equally many neighbours, the one with the greater sum of cosines wins.

    Args:
        features: (M, D).
        labels: (M,) int64.
        k: number of neighbours; at most M - 1.

    Raises:
        ValueError: there are not more than k features.
    """
    if not 1 <= k < len(features):
        raise ValueError(f'knn_accuracy.k: found {k} for {len(features)} features, expected 1 to {len(features) - 1}')
    unit = F.normalize(features, dim=1)
    similarity = (unit @ unit.t()).fill_diagonal_(-torch.inf)
    cosine, neighbours = similarity.topk(k, dim=1)
    # A vote counts 1 and up to 1 / (4k) more or less by its cosine, which decides between equal counts only.
    votes = F.one_hot(labels[neighbours]) * (1 + cosine / (4 * k))[..., None]  # (M, k, T)
    return 100 * (votes.sum(1).argmax(1) == labels).double().mean().item()


@full_precision
def silhouette(features: torch.Tensor, labels: torch.Tensor) -> float:
    r"""Mean silhouette of the classes by cosine distance: 1 compact and apart, 0 overlapping, below 0 mixed.

    .. math:: s_i = \frac{b_i - a_i}{\max(a_i, b_i)}

    :math:`a_i`: mean distance to the others of the own class; :math:`b_i`: to the nearest other class. A class with a
    single feature counts 0 (Rousseeuw, 1987).

    Args:
        features: (M, D).
        labels: (M,) int64, of at least two classes.

    Raises:
        ValueError: there is only one class.
    """
    classes, owner, count = labels.unique(return_inverse=True, return_counts=True)
    if len(classes) < 2:
        raise ValueError(f'silhouette.labels: found {len(classes)} class, expected at least 2')
    unit = F.normalize(features, dim=1)
    distance = (1 - unit @ unit.t()).fill_diagonal_(0)
    sums = distance @ F.one_hot(owner).to(distance)  # (M, T)
    own = owner[:, None]
    within = sums.gather(1, own)[:, 0] / (count[owner] - 1).clamp(min=1)
    between = (sums / count).scatter(1, own, torch.inf).amin(1)
    score = (between - within) / between.maximum(within).clamp(min=1e-12)
    return torch.where(count[owner] > 1, score, 0.).mean().item()
