"""From dense features and text embeddings to label maps (MaskCLIP, Zhou et al., ECCV 2022, sec. 3.2)."""
from collections.abc import Iterator, Sequence

import torch
from torch.nn import functional as F

from rsc_mm.utils.precision import full_precision

STRIP_VALUES = 1 << 26
"""Most values of a strip in `label_cosines`: 256 MB of float32."""


@full_precision
def text_cosines(dense: torch.Tensor, embeddings: torch.Tensor) -> torch.Tensor:
    r"""Cosine of every token with every query: :math:`c_{qp} = \cos(f_p, e_q)`.

    Args:
        dense: features in the image-text space (B, D, h, w), of any length.
        embeddings: of Q texts (Q, D), of any length.

    Returns:
        (B, Q, h, w), float32 whatever the autocast.
    """
    queries = F.normalize(embeddings.to(dense), dim=1)
    return torch.einsum('qd,bdhw->bqhw', queries, F.normalize(dense, dim=1, eps=1e-6))


@full_precision
def class_probabilities(cosines: torch.Tensor, counts: Sequence[int], logit_scale: float) -> torch.Tensor:
    r"""Probabilities of classes: softmax over all queries, then the best synonym of each (Wang et al., SCLIP, 2024).

    .. math:: p_c = \max_{q \in Q_c} \mathrm{softmax}_q(\tau\, c_{qp})

    Synonyms compete with each other, so the probabilities of T classes add up to at most 1.

    Args:
        cosines: (..., Q, H, W), the queries of one class side by side, in the order of the classes.
        counts: number of queries of each of the T classes; 0 for a class that only a threshold can give.
        logit_scale: :math:`\tau`.

    Returns:
        (..., T, H, W) float32; 0 for a class without queries.

    Raises:
        ValueError: the counts do not add up to Q.
    """
    return best_of_queries((logit_scale * cosines).softmax(dim=-3), counts)


def best_of_queries(probabilities: torch.Tensor, counts: Sequence[int]) -> torch.Tensor:
    r"""Probabilities of classes from those of their queries: :math:`p_c = \max_{q \in Q_c} p_q`.

    Args:
        probabilities: (..., Q, H, W), the queries of one class side by side, in the order of the classes.
        counts: as `class_probabilities` takes them.

    Returns:
        (..., T, H, W); 0 for a class without queries.

    Raises:
        ValueError: the counts do not add up to Q.
    """
    if sum(counts) != probabilities.shape[-3]:
        raise ValueError(f'class_probabilities.counts: found {sum(counts)} queries of {len(counts)} classes, expected '
                         f'{probabilities.shape[-3]}, one for each channel of the cosines')
    if set(counts) == {1}:
        return probabilities
    nothing = torch.zeros_like(probabilities.narrow(-3, 0, 1))
    parts = probabilities.split(list(counts), dim=-3)
    return torch.cat([part.amax(-3, keepdim=True) if part.shape[-3] else nothing for part in parts], dim=-3)


def label_map(probabilities: torch.Tensor, background: int | None = None, threshold: float = 0.) -> torch.Tensor:
    """The most probable class of every pixel, and the background where none is probable.

    Args:
        probabilities: (..., T, H, W).
        background: number of the class that takes the pixels whose best probability is below ``threshold``.
        threshold: 0..1.

    Returns:
        (..., H, W) int64.
    """
    best, labels = probabilities.max(dim=-3)
    return labels if background is None else labels.masked_fill(best < threshold, background)


def label_cosines(cosines: torch.Tensor, size: tuple[int, int], counts: Sequence[int], logit_scale: float,
                  background: int | None = None, threshold: float = 0.) -> torch.Tensor:
    """Labels of one image at another size: cosines are resized, then `class_probabilities` and `label_map`.

    Rows are done strip by strip: all probabilities of hundreds of classes at the size of a photograph take gigabytes.

    Args:
        cosines: (Q, H, W), upsampled to the network's pixels.
        size: height and width to reach, those of the image file.
        counts: as `class_probabilities` takes them.
        logit_scale: likewise.
        background: as `label_map` takes it.
        threshold: likewise.

    Returns:
        (*size,) int64.
    """
    rows = max(1, STRIP_VALUES // (len(cosines) * size[1]))
    return torch.cat([label_map(class_probabilities(strip, counts, logit_scale), background, threshold)
                      for strip in _resized_strips(cosines.float(), size, rows)])


def _resized_strips(scores: torch.Tensor, size: tuple[int, int], rows: int) -> Iterator[torch.Tensor]:
    """`F.interpolate(mode='bilinear')` of (Q, H, W) as strips (Q, <= rows, size[1]), each made when it is asked for."""
    height = scores.shape[1]
    # Where the centre of each row of the result lies among the rows there are (align_corners=False).
    centre = (torch.arange(size[0], device=scores.device, dtype=torch.float) + 0.5) * (height / size[0]) - 0.5
    centre = centre.clamp(min=0)
    upper = centre.long().clamp(max=height - 1)
    lower = (upper + 1).clamp(max=height - 1)
    for part in torch.arange(size[0], device=scores.device).split(rows):
        share = (centre - upper)[part, None].to(scores)  # (rows, 1)
        strip = torch.lerp(scores[:, upper[part]], scores[:, lower[part]], share)
        yield F.interpolate(strip[None], (len(part), size[1]), mode='bilinear', align_corners=False)[0]
