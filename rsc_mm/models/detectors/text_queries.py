import torch
from torchvision.ops import box_iou

from rsc_mm.utils.precision import full_precision


@full_precision
def nearest_texts(regions: torch.Tensor, embeddings: torch.Tensor, temperature: float,
                  prior: torch.Tensor | None = None) -> torch.Tensor:
    r"""The class whose text each proposal will carry (OV-DQUO, text queries of CORA's kind).

    .. math:: c(r) = \arg\max_c \pi_c\, \mathrm{softmax}(\tau\, \hat v_r \cdot E)_c
                   = \arg\max_c \big(\tau\, \hat v_r \cdot e_c + \log \pi_c\big)

    The right side is what is computed: the softmax of the public code, with its extra column of -1, divides all classes
    of a region by the same number and cannot change the choice, but in float32 it makes far classes equal to 0.

    Args:
        regions: dense features of N proposals (N, D), of any length.
        embeddings: unit rows (S, D).
        temperature: :math:`\tau`, 100.
        prior: :math:`\pi` (S,), positive; at test 3 or 8 for novel classes; None: 1.

    Returns:
        (N,) of 0..S-1.
    """
    logits = temperature * torch.nn.functional.normalize(regions, dim=1) @ embeddings.t()  # (N, S)
    return (logits if prior is None else logits + prior.log()).argmax(1)


def give_wildcards(texts: torch.Tensor, boxes: torch.Tensor, unknown: torch.Tensor, wildcard: int) -> torch.Tensor:
    """Proposals over an unknown object carry the wildcard instead of a class (training).

    Args:
        texts: class of each proposal (N,).
        boxes: the proposals (N, 4), corners.
        unknown: pseudo boxes of the same image (U, 4), in the same frame.
        wildcard: its number.

    Returns:
        (N,): the wildcard where the IoU with any pseudo box is above 0.5.
    """
    over = (box_iou(boxes, unknown) > 0.5).any(1)  # (N,)
    return torch.where(over, wildcard, texts)
