"""Does a location of the dense map describe the whole image, or the region it lies in?"""
from collections.abc import Sequence

import torch
from torch.nn import functional as F

from rsc_mm.utils.precision import full_precision
from rsc_mm.utils.regions import cell_centres


def smallest_regions(boxes: torch.Tensor, grid: tuple[int, int], patch_size: int) -> torch.Tensor:
    """The smallest box around the centre of every token: the region it belongs to.

    Args:
        boxes: (K, 4) in network pixels.
        grid: h and w.
        patch_size: network pixels of one grid cell.

    Returns:
        (h, w) int64 box numbers; -1 where no box contains the centre.
    """
    y, x = (centre.to(boxes.device) for centre in cell_centres(grid, patch_size))
    x1, y1, x2, y2 = boxes[:, :, None, None].unbind(1)  # (K, 1, 1)
    inside = (x1 <= x) & (x < x2) & (y1 <= y[:, None]) & (y[:, None] < y2)  # (K, h, w)
    area = ((x2 - x1) * (y2 - y1)).where(inside, torch.inf)  # (K, h, w)
    if not len(boxes):
        return torch.full(grid, -1, device=boxes.device)
    least, owner = area.min(0)
    return owner.where(least.isfinite(), -1)


@full_precision
def retrieval_ranks(queries: torch.Tensor, targets: torch.Tensor, positives: torch.Tensor,
                    negatives: torch.Tensor) -> torch.Tensor:
    r"""How many wrong answers are at least as similar to a query as the right one.

    .. math:: \operatorname{rank}_q = \sum_{n \in N_q} [\cos(z_q, e_n) \ge \cos(z_q, e_{p(q)})]

    Ties count against the query, so that features which are all the same retrieve nothing.

    Args:
        queries: locations of the dense map (Q, D).
        targets: embeddings of images or of crops (M, D).
        positives: (Q,) number of the right target.
        negatives: (Q, n) numbers of wrong targets.

    Returns:
        (Q,) int64 in 0..n.
    """
    similarity = F.normalize(queries, dim=1) @ F.normalize(targets, dim=1).t()  # (Q, M)
    right = similarity.gather(1, positives.to(similarity.device)[:, None])
    wrong = similarity.gather(1, negatives.to(similarity.device))
    return (wrong >= right).sum(1)


def retrieve(queries: list[torch.Tensor], answers: list[torch.Tensor], targets: list[torch.Tensor], wrong: int,
             generator: torch.Generator, chunk_size: int = 1024) -> torch.Tensor:
    """The rank of every query's right target among wrong targets of other images, drawn for each query anew.

    Args:
        queries: for each image (Q_i, D).
        answers: for each image (Q_i,), the right one among its own targets; -1 leaves the query out.
        targets: for each image (K_i, D).
        wrong: number n of wrong targets, none twice for a query.
        generator: random number generator, on the CPU.
        chunk_size: most queries at a time, which bounds memory.

    Returns:
        (Q,) int64 in 0..n: see `retrieval_ranks`.

    Raises:
        ValueError: the other images have fewer than n targets.
    """
    owner = torch.arange(len(targets)).repeat_interleave(torch.tensor([len(rows) for rows in targets]))  # (sum K,)
    first, joined, ranks = 0, torch.cat(targets), []
    for i, (rows, answer) in enumerate(zip(queries, answers)):
        others = (owner != i).nonzero()[:, 0]
        if len(others) < wrong:
            raise ValueError(f'retrieve.targets: found {len(others)} in the other images, expected at least {wrong} '
                             'wrong answers; evaluate more images or draw fewer samples')
        asked = answer >= 0
        for part, right in zip(rows[asked].split(chunk_size), (answer[asked] + first).split(chunk_size)):
            drawn = torch.rand(len(part), len(others), generator=generator).topk(wrong, dim=1).indices  # (Q, n)
            ranks.append(retrieval_ranks(part, joined, right, others[drawn]).cpu())
        first += len(targets[i])
    return torch.cat(ranks) if ranks else torch.zeros(0, dtype=torch.long)


def recall(ranks: torch.Tensor, topk: Sequence[int] = (1, 5, 10)) -> dict[str, float]:
    """Share of queries whose right answer is among the first k, in percent (CLIPSelf, table A1).

    Args:
        ranks: number of wrong answers before the right one (Q,).
        topk: the k's.

    Returns:
        ``R@k`` for each k.

    Raises:
        ValueError: there is no query.
    """
    if not len(ranks):
        raise ValueError('recall.ranks: found no query, expected at least one')
    return {f'R@{k}': 100 * (ranks < k).double().mean().item() for k in topk}
