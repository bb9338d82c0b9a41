"""Pseudo boxes of unknown objects from class-agnostic proposals. Needs no mmdet."""
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torchvision.ops import box_iou, nms

from rsc_mm.datasets.annotation_columns import ImageColumns, chunks
from rsc_mm.datasets.annotation_fields import ID, Kind, boxes, column
from rsc_mm.datasets.json_stream import read_members
from rsc_mm.utils.regions import corners

SCORE = Kind({int, float}, 'a number above 0 and at most 1')


@dataclass
class CleaningRules:
    """Which proposals may be unknown objects (MEPU's rules, which OV-DQUO's files come from).

    Attributes:
        min_area: least area in square pixels.
        max_share: largest share of the image.
        max_aspect: largest ratio of the longer side to the shorter one.
        nms_iou: IoU above which the lower score goes.
        annotated_iou: IoU with any annotated box above which a proposal is no unknown object.
        per_image: most boxes of an image.
        share: part of all remaining boxes that one threshold keeps.
    """

    min_area: float = 2000.
    max_share: float = 0.98
    max_aspect: float = 4.
    nms_iou: float = 0.3
    annotated_iou: float = 0.3
    per_image: int = 10
    share: float = 0.3


class ScoredBoxes:
    """Boxes of a COCO-style json by image.

    Args:
        path: the file, for messages.
        scored: whether every entry must have a score.
        entries: its list ``annotations``, read to its end.

    Raises:
        ValueError: an entry lacks a key, or its value is of another kind.
    """

    def __init__(self, path: str | Path, scored: bool, entries: Iterator[dict]) -> None:
        where = f'{path}: annotations'
        owners: list[int | str] = []
        packed, scores = [np.zeros((0, 4))], [np.zeros(0)]
        for start, rows in chunks(entries):
            owners += column(rows, 'image_id', where, start, ID)
            packed.append(boxes(rows, where, start))
            if scored:
                values = np.array(column(rows, 'score', where, start, SCORE), np.float64)
                for i in np.flatnonzero(~((values > 0) & (values <= 1)))[:1]:
                    raise ValueError(f'{where}[{start + i}].score: found {values[i]}, expected {SCORE.words}')
                scores.append(values)
        self._boxes, self._scores = np.concatenate(packed), np.concatenate(scores)
        self._rows: dict[int | str, list[int]] = {}
        for i, owner in enumerate(owners):
            self._rows.setdefault(owner, []).append(i)

    def boxes(self, img_id: int | str) -> torch.Tensor:
        """Corners (K, 4) float64 of the boxes of an image."""
        return corners(self._boxes[self._rows.get(img_id, [])])

    def scores(self, img_id: int | str) -> torch.Tensor:
        """Their scores (K,)."""
        return torch.from_numpy(self._scores[self._rows.get(img_id, [])])


def clean_proposals(proposals: torch.Tensor, scores: torch.Tensor, annotated: torch.Tensor, shape: tuple[int, int],
                    rules: CleaningRules) -> torch.Tensor:
    """The proposals of an image that may be unknown objects.

    Args:
        proposals: corners (K, 4) in original pixels.
        scores: (K,).
        annotated: corners of the annotated boxes (G, 4), crowds too.
        shape: height and width of the image.
        rules: what is kept.

    Returns:
        Their numbers (N,), best first.
    """
    width, height = (proposals[:, 2:] - proposals[:, :2]).unbind(1)
    area = width * height
    keep = (area >= rules.min_area) & (area <= rules.max_share * math.prod(shape))
    keep &= torch.maximum(width, height) <= rules.max_aspect * torch.minimum(width, height)
    keep &= ~(box_iou(proposals, annotated) > rules.annotated_iou).any(1)
    numbers = keep.nonzero()[:, 0]
    best = nms(proposals[numbers], scores[numbers], rules.nms_iou)[:rules.per_image]
    return numbers[best]


def find_unknown_objects(proposals: str | Path, annotations: str | Path, rules: CleaningRules) -> list[dict]:
    """Pseudo boxes of the images of an annotation file.

    The weight of a box is the score of its proposal, ours: MEPU's is a ratio of two densities of a reconstruction
    error.

    Args:
        proposals: json of tools/data/generate_proposals.py, of a proposer that saw base classes only.
        annotations: COCO or LVIS json of the base classes, whose boxes are known.
        rules: what is kept.

    Returns:
        Entries of the file that `read_unknown_objects` reads, by image, best first.

    Raises:
        FileNotFoundError, ValueError: a file is missing or breaks the format; the message names the entry. Or no image
            has a proposal.
    """
    images = _members(annotations, 'images', lambda entries: ImageColumns(str(annotations), entries))
    known = _members(annotations, 'annotations', lambda entries: ScoredBoxes(annotations, False, entries))
    found = _members(proposals, 'annotations', lambda entries: ScoredBoxes(proposals, True, entries))
    rows = []
    for i, img_id in enumerate(images.ids):
        boxes, scores, shape = found.boxes(img_id), found.scores(img_id), tuple(images.shapes[i].tolist())
        if min(shape) < 1:
            raise ValueError(f'{annotations}: images[{i}]: found no height and width, expected both')
        kept = clean_proposals(boxes, scores, known.boxes(img_id), shape, rules)
        rows += [(img_id, box, score) for box, score in zip(boxes[kept].tolist(), scores[kept].tolist())]
    if not rows:
        raise ValueError(f'{proposals}: found no proposal of an image of {annotations} that the rules keep ({rules}), '
                         'expected the proposals of the same images')
    least = sorted((row[2] for row in rows), reverse=True)[max(1, round(rules.share * len(rows))) - 1]
    return [{'image_id': img_id, 'bbox': [round(x1, 2), round(y1, 2), round(x2 - x1, 2), round(y2 - y1, 2)],
             'category_id': -1, 'pseudo': 1, 'weight': score}
            for img_id, (x1, y1, x2, y2), score in rows if score >= least]


def _members(path: str | Path, key: str, reader: Callable[[Iterator[Any]], Any]) -> Any:
    found = read_members(path, {key: reader}).get(key)
    if found is None or isinstance(found, list):
        raise ValueError(f"{path}: found no list '{key}', expected a COCO-style json")
    return found
