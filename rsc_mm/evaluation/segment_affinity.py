"""Spatial awareness as a number: do two tokens of a region correlate more if they lie in the same segment?"""
import torch
from torch.nn import functional as F

from rsc_mm.utils.dependencies import optional_module
from rsc_mm.utils.precision import full_precision
from rsc_mm.utils.regions import region_centres


@full_precision
def segment_auc(tokens: torch.Tensor, segments: torch.Tensor) -> torch.Tensor:
    r"""The probability that a pair of tokens of one segment is more alike than a pair of two segments.

    .. math:: \mathrm{AUC} = P\big(\cos(z_i, z_j) > \cos(z_k, z_l)\;\big|\; s_i = s_j,\; s_k \ne s_l\big)

    over all pairs of different tokens of a region: the area under the ROC curve of the correlations that `SCDLoss`
    distils, as a classifier of "same segment"; equal cosines count half. 0.5 says nothing, 1 is perfect; scale and
    temperature do not matter. Not in the paper, which judges correlations by pictures and by unsupervised segmentation.

    Args:
        tokens: (K, L, D).
        segments: the segment of each token (K, L), whole numbers.

    Returns:
        (K,) float64; NaN where all tokens lie in one segment, or each in one of its own.

    Raises:
        ImportError: scikit-learn is not installed; the message names the extra.
        ValueError: the shapes do not fit.
    """
    if tokens.shape[:2] != segments.shape:
        raise ValueError(f'segment_auc: found tokens {tuple(tokens.shape)} and segments {tuple(segments.shape)}, '
                         'expected (K, L, D) and (K, L)')
    tokens = F.normalize(tokens, dim=2)
    upper = torch.ones(2 * segments.shape[1:], dtype=torch.bool).triu(1)  # (L, L), every pair once
    metrics, values = optional_module('sklearn.metrics', 'scikit-learn', 'The segment AUC'), []
    for z, s in zip(tokens.cpu(), segments.cpu()):
        same = (s[:, None] == s)[upper]  # (L * (L - 1) / 2,)
        both = same.any() and not same.all()
        values.append(metrics.roc_auc_score(same, (z @ z.t())[upper]) if both else torch.nan)
    return torch.tensor(values, dtype=torch.double)


def segments_at(segmentation: torch.Tensor, boxes: torch.Tensor, size: int) -> torch.Tensor:
    """The segment at the centre of every cell of a region grid.

    Args:
        segmentation: the segment of every pixel (H, W), whole numbers.
        boxes: (K, 4) in pixels of the segmentation.
        size: side of the region grid.

    Returns:
        (K, size^2), row by row.
    """
    x, y = region_centres(boxes, size)
    x, y = x.long().clamp(0, segmentation.shape[1] - 1), y.long().clamp(0, segmentation.shape[0] - 1)
    return segmentation[y[:, :, None], x[:, None, :]].flatten(1)  # (K, size^2)
