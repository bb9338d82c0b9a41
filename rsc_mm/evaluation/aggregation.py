"""Training-free refinement: an image's tokens averaged over many contexts, and how well clusters of tokens segment."""
import torch
from torch.nn import functional as F

from rsc_mm.utils.dependencies import optional_module
from rsc_mm.utils.precision import full_precision


def random_places(count: int, grid: int, part: int, generator: torch.Generator) -> torch.Tensor:
    """Places of a square of ``part`` cells in a grid of ``grid`` cells, each as likely as any other.

    Args:
        count: number N of places.
        grid: side of the grid in cells.
        part: side of the square in cells.
        generator: random number generator.

    Returns:
        (N, 2) int64, row and column of the upper left cell.

    Raises:
        ValueError: the square does not fit.
    """
    if not 1 <= part <= grid:
        raise ValueError(f'random_places: found a square of {part} cells, expected 1 to {grid}, the side of the grid')
    return torch.randint(grid - part + 1, (count, 2), generator=generator)


def embed_target(target: torch.Tensor, contexts: torch.Tensor, places: torch.Tensor, patch_size: int) -> torch.Tensor:
    r"""The target image put into each context: :math:`X_i^M` of the aggregation (Qiu et al., ICLR 2025, eq. 7).

    Args:
        target: image (3, t, t), t a multiple of the patch.
        contexts: images (N, 3, S, S).
        places: (N, 2), row and column of the upper left cell in patches.
        patch_size: pixels of one cell.

    Returns:
        (N, 3, S, S); the contexts stay as they are.
    """
    mixed = contexts.clone()
    height, width = target.shape[1:]
    for image, (row, column) in zip(mixed, (places * patch_size).tolist()):
        image[:, row:row + height, column:column + width] = target
    return mixed


def cut_submaps(dense: torch.Tensor, places: torch.Tensor, part: int) -> torch.Tensor:
    r"""The tokens of the target in each map: :math:`Z_{X_t|X_i}`.

    Args:
        dense: maps (N, D, h, w).
        places: (N, 2), row and column of the upper left cell.
        part: side g of the target in cells.

    Returns:
        (N, D, g, g).
    """
    return torch.stack([grid[:, row:row + part, column:column + part]
                        for grid, (row, column) in zip(dense, places.tolist())])  # (N, D, g, g)


@full_precision
def aggregate(submaps: torch.Tensor, counts: list[int]) -> torch.Tensor:
    r"""The mean of the first n sub-maps for each n: :math:`Z_{X_t} = \frac{1}{n} \sum_{i \le n} Z_{X_t|X_i}` (eq. 7).

    Not said in the paper: whether the tokens have unit length before they are averaged. Whatever comes in is averaged.

    Args:
        submaps: (N, D, g, g).
        counts: the n's, each at most N.

    Returns:
        (len(counts), D, g, g).

    Raises:
        ValueError: an n is not in 1..N.
    """
    if not counts or not 1 <= min(counts) <= max(counts) <= len(submaps):
        raise ValueError(f'aggregate: found the counts {counts}, expected numbers in 1..{len(submaps)}, the sub-maps')
    sums = submaps.cumsum(0)
    return torch.stack([sums[n - 1] / n for n in counts])  # (len(counts), D, g, g)


def token_labels(masks: torch.Tensor, labels: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
    """The class that covers most of each token's pixels.

    Args:
        masks: segments (K, H, W), bool or {0, 1}, that do not overlap.
        labels: (K,) int64.
        grid: h and w.

    Returns:
        (h, w) int64; -1 where no class covers as much as the pixels without annotation.
    """
    area = F.adaptive_avg_pool2d(masks.float(), grid)  # (K, h, w)
    classes, owner = labels.unique(return_inverse=True)
    cover = area.new_zeros(len(classes), *grid).index_add(0, owner, area)  # (T', h, w)
    nothing = 1 - cover.sum(0, keepdim=True)
    return torch.cat([labels.new_tensor([-1]), classes])[torch.cat([nothing, cover]).argmax(0)]  # (h, w)


def matched_iou(clusters: torch.Tensor, labels: torch.Tensor, num_classes: int) -> tuple[float, torch.Tensor]:
    r"""Unsupervised segmentation: mean IoU after the best assignment of clusters to classes.

    Each class gets at most one cluster and each cluster at most one class, so that the sum of IoU is greatest
    (Hungarian matching). The mean runs over the classes that occur; tokens without annotation do not count.

    Args:
        clusters: (M,) int64 cluster numbers.
        labels: (M,) int64 classes, -1 without annotation.
        num_classes: T.

    Returns:
        The mean IoU in percent, and the class of each cluster (number of clusters,), -1 without one.

    Raises:
        ImportError: SciPy is not installed; the message names the extra.
        ValueError: no token is annotated.
    """
    size, annotated = int(clusters.max()) + 1, labels >= 0
    if not annotated.any():
        raise ValueError('matched_iou.labels: found no annotated token, expected at least one')
    pairs = clusters[annotated] * num_classes + labels[annotated]
    joint = torch.bincount(pairs, minlength=size * num_classes).view(size, num_classes).double()  # (clusters, T)
    union = joint.sum(0) + joint.sum(1, keepdim=True) - joint
    iou = torch.where(union > 0, joint / union, 0.)
    rows, columns = best_assignment(iou)
    assigned = torch.full((size, ), -1).index_put((rows, ), columns)
    return 100 * iou[rows, columns].sum().item() / int((joint.sum(0) > 0).sum()), assigned


def best_assignment(scores: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows and columns of the one to one assignment with the greatest sum (Hungarian matching).

    Args:
        scores: (M, N).

    Returns:
        Row and column of each of the min(M, N) pairs.

    Raises:
        ImportError: SciPy is not installed; the message names the extra.
    """
    optimize = optional_module('scipy.optimize', 'SciPy', 'Hungarian matching')
    rows, columns = optimize.linear_sum_assignment(scores.numpy(), maximize=True)
    return torch.from_numpy(rows), torch.from_numpy(columns)
