import torch

from rsc_mm.utils.precision import full_precision


@full_precision
def fuse_scores(detector: torch.Tensor, clip: torch.Tensor, is_base: torch.Tensor, alpha: float,
                beta: float) -> torch.Tensor:
    r"""Geometric mean of the detector's and CLIP's class probabilities (F-VLM, Kuo et al., 2023, eq. 3).

    .. math:: s_c = p_c^{1-\alpha} q_c^{\alpha} \text{ for base classes and background}, \quad
              s_c = p_c^{1-\beta} q_c^{\beta} \text{ for novel classes}

    The detector is trusted where it was trained, CLIP where it was not. The result is not normalised again: it goes
    straight to NMS, as in the public F-ViT code.

    Args:
        detector: p, a softmax over all classes and the background (K, T+1).
        clip: q, the same of CLIP's dense features (K, T+1).
        is_base: (T+1,) bool, True for base classes and the background.
        alpha: CLIP's share for base classes, 0..1.
        beta: CLIP's share for novel classes, 0..1.

    Returns:
        (K, T+1), float32.
    """
    share = torch.where(is_base, detector.new_tensor(alpha), detector.new_tensor(beta))  # (T+1,)
    return detector ** (1 - share) * clip ** share


def spread_scores(scores: torch.Tensor, labels: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    r"""What a detector says of other classes than its own: its p for `fuse_scores`.

    .. math:: p_{kc} = s_k \text{ if } c \text{ is unknown to the detector, or is the label of box } k, \text{ else } 0

    Of a class that it was not trained on a detector knows only that there is an object.

    Args:
        scores: s, one for each of K boxes (K,).
        labels: of the boxes among the detector's own classes (K,) int64.
        known: for each of the T wanted classes its label among the detector's own (T,) int64, -1 if it has none.

    Returns:
        (K, T), of the type of the scores.
    """
    possible = (known < 0) | (labels[:, None] == known)  # (K, T)
    return torch.where(possible, scores[:, None], torch.zeros_like(scores[:, None]))
