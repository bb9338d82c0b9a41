"""Spatial awareness as a number: do two tokens of a region correlate more if they lie in the same segment?"""
import torch
from torch.nn import functional as F

from rsc_mm.utils.precision import full_precision


@full_precision
def segment_auc(tokens: torch.Tensor, segments: torch.Tensor) -> torch.Tensor:
    r"""The probability that a pair of tokens of one segment is more alike than a pair of two segments.

    .. math:: \mathrm{AUC} = P\big(\cos(z_i, z_j) > \cos(z_k, z_l)\;\big|\; s_i = s_j,\; s_k \ne s_l\big)

    over all pairs of different tokens of a region: the area under the ROC curve of the correlations that `SCDLoss`
    distils, as a classifier of "same segment". 0.5 says nothing, 1 is perfect; scale and temperature do not matter.
    Not in the paper, which judges correlations by pictures and by unsupervised segmentation.

    Args:
        tokens: (K, L, D).
        segments: the segment of each token (K, L), whole numbers.

    Returns:
        (K,); NaN where all tokens lie in one segment, or each in one of its own.

    Raises:
        ValueError: the shapes do not fit.
    """
    if tokens.shape[:2] != segments.shape:
        raise ValueError(f'segment_auc: found tokens {tuple(tokens.shape)} and segments {tuple(segments.shape)}, '
                         'expected (K, L, D) and (K, L)')
    tokens = F.normalize(tokens, dim=2)
    upper = torch.ones(2 * segments.shape[1:], dtype=torch.bool).triu(1)  # (L, L), every pair once
    values = [_auc((z @ z.t())[upper], (s[:, None] == s)[upper]) for z, s in zip(tokens, segments)]
    return torch.stack(values) if values else tokens.new_zeros(0)


def segments_at(segmentation: torch.Tensor, boxes: torch.Tensor, size: int) -> torch.Tensor:
    """The segment at the centre of every cell of a region grid.

    Args:
        segmentation: the segment of every pixel (H, W), whole numbers.
        boxes: (K, 4) in pixels of the segmentation.
        size: side of the region grid.

    Returns:
        (K, size^2), row by row.
    """
    centres = (torch.arange(size) + 0.5) / size
    x, y = (boxes[:, None, i] + centres * (boxes[:, i + 2] - boxes[:, i])[:, None] for i in (0, 1))  # (K, size)
    x, y = x.long().clamp(0, segmentation.shape[1] - 1), y.long().clamp(0, segmentation.shape[0] - 1)
    return segmentation[y[:, :, None], x[:, None, :]].flatten(1)  # (K, size^2)


def _auc(scores: torch.Tensor, same: torch.Tensor) -> torch.Tensor:
    """Mann-Whitney's statistic: mean rank of the same-segment pairs among all, ties in the order they stand."""
    ranks = torch.empty_like(scores, dtype=torch.double)
    ranks[scores.argsort(stable=True)] = torch.arange(len(scores), dtype=torch.double)
    inside = int(same.sum())
    return (ranks[same].sum() - inside * (inside - 1) / 2) / (inside * (len(scores) - inside))
