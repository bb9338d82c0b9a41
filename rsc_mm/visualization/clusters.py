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


@full_precision
def cluster_maps(maps: list[torch.Tensor], clusters: int, seed: int = 0, together: bool = False,
                 whole: list[tuple[int, int]] | None = None) -> list[torch.Tensor]:
    """The cluster (h, w) of every token.

    Tokens at the right and lower border that are partly padding are unlike all others: they would get a cluster of
    their own. So only tokens that lie in the image as a whole form clusters; the rest take the nearest one's number.

    Args:
        maps: dense maps (D, h, w).
        clusters: number of clusters.
        seed: of K-means.
        together: all maps at once.
        whole: rows and columns of each map that lie in the image as a whole, see `whole_cells`; default: all.

    Raises:
        ValueError: there are fewer whole tokens than clusters.
    """
    groups = [range(len(maps))] if together else [[i] for i in range(len(maps))]
    whole = whole or [(dense.shape[1], dense.shape[2]) for dense in maps]
    numbers = {}
    for group in groups:
        inside = torch.cat([maps[i][:, :whole[i][0], :whole[i][1]].flatten(1).t() for i in group])  # (M, D)
        present, owner = kmeans(inside, clusters, seed).unique(return_inverse=True)
        centres = mean_directions(inside, owner)
        for i in group:
            tokens = F.normalize(maps[i].flatten(1).t(), dim=1)  # (N, D)
            numbers[i] = present[nearest_centre(tokens, centres)].view(maps[i].shape[1:])  # (h, w)
    return [numbers[i] for i in range(len(maps))]


def mean_directions(tokens: torch.Tensor, owner: torch.Tensor) -> torch.Tensor:
    """Mean of the unit tokens of each cluster (clusters, D).

    Args:
        tokens: (M, D).
        owner: cluster of each (M,), none without tokens.
    """
    count = torch.bincount(owner)[:, None]  # (clusters, 1)
    return tokens.new_zeros(len(count), tokens.shape[1]).index_add_(0, owner, F.normalize(tokens, dim=1)) / count


def plus_plus(tokens: torch.Tensor, clusters: int, generator: torch.Generator) -> torch.Tensor:
    """First centres (clusters, D) by k-means++: far tokens are likelier, by their squared distance.

    Args:
        tokens: (M, D).
        clusters: number of centres.
        generator: random number generator.
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
