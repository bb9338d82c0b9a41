"""K-means of tokens."""
import torch
from torch.nn import functional as F

from rsc_mm.utils.precision import full_precision


@full_precision
def kmeans(tokens: torch.Tensor, clusters: int, seed: int = 0, restarts: int = 4,
           iterations: int = 100) -> torch.Tensor:
    r"""K-means on the unit sphere's points: clusters of tokens by cosine (CLIPSelf, fig. 1 and 4).

    Lloyd's algorithm on L2-normalised tokens from k-means++ seeds; of several starts the one with the least
    :math:`\sum_m \lVert x_m - c_{k(m)} \rVert^2`. Seeded: the same on every call.

    Args:
        tokens: (M, D).
        clusters: number of clusters, at most M.
        seed: of the starts.
        restarts: number of starts.
        iterations: most steps of a start; it ends when no token moves.

    Returns:
        (M,) int64 cluster numbers, the largest cluster first.

    Raises:
        ValueError: there are fewer tokens than clusters.
    """
    if not 1 <= clusters <= len(tokens):
        raise ValueError(f'kmeans.clusters: found {clusters}, expected 1 to {len(tokens)}, the number of tokens')
    generator = torch.Generator().manual_seed(seed)
    tokens = F.normalize(tokens, dim=1)
    starts = [lloyd(tokens, plus_plus(tokens, clusters, generator), iterations) for _ in range(restarts)]
    assigned = min(starts, key=lambda start: start[1])[0]
    order = torch.bincount(assigned, minlength=clusters).argsort(descending=True, stable=True)
    return order.argsort()[assigned]


def cluster_maps(maps: list[torch.Tensor], clusters: int, seed: int = 0,
                 together: bool = False) -> list[torch.Tensor]:
    """The cluster (h, w) of every token.

    Args:
        maps: dense maps (D, h, w).
        clusters: number of clusters.
        seed: of K-means.
        together: all maps at once.
    """
    tokens = [dense.flatten(1).t() for dense in maps]  # (N, D)
    numbers = (kmeans(torch.cat(tokens), clusters, seed).split([len(t) for t in tokens]) if together
               else [kmeans(t, clusters, seed) for t in tokens])
    return [number.view(dense.shape[1:]) for number, dense in zip(numbers, maps)]


def plus_plus(tokens: torch.Tensor, clusters: int, generator: torch.Generator) -> torch.Tensor:
    """First centres (clusters, D) by k-means++: far tokens are likelier, by their squared distance.

    Args:
        tokens: (M, D).
        clusters: number of centres.
        generator: where the chance comes from.
    """
    chosen = [int(torch.randint(len(tokens), (1, ), generator=generator))]
    nearest = tokens.new_full((len(tokens), ), torch.inf)
    for _ in range(clusters - 1):
        nearest = nearest.minimum((tokens - tokens[chosen[-1]]).square().sum(1))
        # Where fewer tokens differ than there are clusters, every distance is 0 and any token may be drawn.
        weights = nearest if nearest.any() else torch.ones_like(nearest)
        # Not multinomial, which takes at most 2^24 weights.
        total = weights.double().cumsum(0).cpu()
        draw = torch.rand(1, generator=generator, dtype=torch.double) * total[-1]
        chosen.append(min(int(torch.searchsorted(total, draw, right=True)), len(tokens) - 1))
    return tokens[chosen]


def lloyd(tokens: torch.Tensor, centres: torch.Tensor, iterations: int) -> tuple[torch.Tensor, float]:
    """Lloyd's algorithm: the clusters (M,), and the sum of squared distances to their centres.

    A cluster that loses its last token keeps its centre.

    Args:
        tokens: (M, D).
        centres: first centres (clusters, D).
        iterations: most steps.
    """
    assigned = nearest_centre(tokens, centres)
    for _ in range(iterations):
        count = torch.bincount(assigned, minlength=len(centres))[:, None]  # (clusters, 1)
        sums = torch.zeros_like(centres).index_add_(0, assigned, tokens)
        centres = torch.where(count > 0, sums / count.clamp(min=1), centres)
        previous, assigned = assigned, nearest_centre(tokens, centres)
        if torch.equal(previous, assigned):
            break
    return assigned, (tokens - centres[assigned]).square().sum().item()


def nearest_centre(tokens: torch.Tensor, centres: torch.Tensor) -> torch.Tensor:
    """The nearest centre of each token (M,); of equal ones the first.

    Args:
        tokens: (M, D).
        centres: (clusters, D).
    """
    # |x - c|^2 without |x|^2, which is the same for all centres.
    return (centres.square().sum(1) - 2 * tokens @ centres.t()).argmin(1)
