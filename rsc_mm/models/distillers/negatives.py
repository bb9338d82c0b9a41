"""Which tokens are negatives of a token in the InfoNCE of the Refiner (R-SC, eq. 13): all others, or by annotation."""
from collections.abc import Callable

import torch
from mmengine.structures import BaseDataElement


def other_tokens(data_samples: list[BaseDataElement], tokens: torch.Tensor) -> None:
    """All other tokens of the crop, the paper's choice.

    Args:
        data_samples: not used.
        tokens: not used.
    """


def other_segments(data_samples: list[BaseDataElement], tokens: torch.Tensor) -> torch.Tensor:
    r"""The tokens of other segments: :math:`s_k \ne s_j`. A look-alike of the same segment is no negative.

    Not in the paper: an oracle, which tells what false negatives cost. Pixels without a segment count as one.

    Args:
        data_samples: with ``segments`` (C, L), see `SegmentedLocalCrops`.
        tokens: of the crops (sum C, L, D).

    Returns:
        (sum C, L, L) bool.

    Raises:
        ValueError: a sample has no ``segments``.
    """
    for sample in data_samples:
        if 'segments' not in sample:
            raise ValueError(f"RefinerTrainer field 'negatives': found no segments in the sample of image "
                             f"{sample.get('img_id')!r}, expected in train_dataloader.dataset a panoptic json "
                             "and regions=dict(type='SegmentedLocalCrops', grid=SIDE)")
    none = torch.zeros(0, tokens.shape[1], dtype=torch.long)  # a batch of bad images only has no sample
    segments = torch.cat([none, *(sample.segments for sample in data_samples)]).to(tokens.device)  # (sum C, L)
    return segments[:, :, None] != segments[:, None, :]


def as_many_at_random(data_samples: list[BaseDataElement], tokens: torch.Tensor) -> torch.Tensor:
    """For every token as many negatives as `other_segments` has, drawn among all other tokens: its control.

    Args:
        data_samples: with ``segments`` (C, L).
        tokens: of the crops (sum C, L, D).

    Returns:
        (sum C, L, L) bool, by torch's generator.

    Raises:
        ValueError: a sample has no ``segments``.
    """
    counts = other_segments(data_samples, tokens).sum(2, keepdim=True)  # (sum C, L, 1)
    scores = torch.rand(counts.shape[0], counts.shape[1], counts.shape[1], device=tokens.device)
    scores.diagonal(dim1=1, dim2=2).fill_(2)  # a token itself comes last, and is no negative
    return scores.argsort(2).argsort(2) < counts


Negatives = Callable[[list[BaseDataElement], torch.Tensor], torch.Tensor | None]
NEGATIVES: dict[str, Negatives] = {
    'other_tokens': other_tokens, 'other_segments': other_segments, 'as_many_at_random': as_many_at_random}
