import torch

from rsc_mm.utils.precision import full_precision


@full_precision
def ensemble_categories(logits: torch.Tensor, clip_logits: torch.Tensor, is_seen: torch.Tensor, alpha: float,
                        beta: float) -> torch.Tensor:
    r"""Class probabilities of masks from a trained head and from CLIP (FC-CLIP, Yu et al., NeurIPS 2023, sec. 3.3).

    .. math:: s_c = p_c^{1-\gamma_c} q_c^{\gamma_c}, \quad
              f_c = (1 - p_\varnothing) \frac{s_c}{\sum_k s_k}, \quad f_\varnothing = p_\varnothing

    with p the softmax of the head's logits over the classes alone, q that of CLIP's, :math:`p_\varnothing` the head's
    probability of no object among all, :math:`\gamma = \alpha` for classes of training and :math:`\beta` for others.
    Unlike the fusion of detectors (`fuse_scores`) it is normalised again, and so computed from logarithms: where head
    and CLIP are each sure of another class every product may be 0 in float32. A probability of 0 stays 0; the public
    code yields NaN.

    Args:
        logits: of the head (..., T+1), no object last.
        clip_logits: cosines of CLIP's mask features times a temperature (..., T).
        is_seen: (T,) bool, True for classes that training had.
        alpha: CLIP's share for those, 0..1.
        beta: CLIP's share for all others, 0..1.

    Returns:
        (..., T+1) that add up to 1, float32.
    """
    nothing = logits.softmax(-1)[..., -1:]  # (..., 1)
    share = torch.where(is_seen, logits.new_tensor(alpha), logits.new_tensor(beta))  # (T,)
    fused = _times(1 - share, logits[..., :-1].log_softmax(-1)) + _times(share, clip_logits.log_softmax(-1))
    return torch.cat([(1 - nothing) * fused.softmax(-1), nothing], dim=-1)


def _times(share: torch.Tensor, logarithm: torch.Tensor) -> torch.Tensor:
    """Their product, 0 where the share is 0, of an infinite logarithm too."""
    return torch.where(share > 0, share * logarithm, 0.)
