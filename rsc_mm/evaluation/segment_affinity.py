"""Spatial awareness as a number: do two tokens of a region correlate more if they lie in the same segment?"""
import torch
from torch.nn import functional as F

from rsc_mm.utils.dependencies import optional_module
from rsc_mm.utils.precision import full_precision


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
