import torch
from torch.nn import functional as F

from rsc_mm.utils.precision import full_precision


@full_precision
def class_map(dense: torch.Tensor, embeddings: torch.Tensor) -> torch.Tensor:
    r"""The most similar class of every token: :math:`\arg\max_t \cos(f_p, e_t)` (CLIPSelf, sec. 3.1, zero-shot).

    Args:
        dense: a map (D, h, w) in the image-text space.
        embeddings: class embeddings (T, D).

    Returns:
        (h, w) int64 class numbers.
    """
    tokens = F.normalize(dense.flatten(1), dim=0)  # (D, N)
    return (F.normalize(embeddings.to(tokens), dim=1) @ tokens).argmax(0).unflatten(0, dense.shape[1:])  # (h, w)
