"""What a detector finds in an image."""
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as mask_utils

from rsc_mm.visualization.drawing import blend_labels, draw_boxes

from .results import Result, supervision_detections

COLOURS = {True: (40, 110, 230), False: (230, 80, 20)}
"""Of classes that the detector was trained on, and of all others."""


@dataclass(repr=False)
class Detections(Result):
    """Objects of an image, the best first.

    Attributes:
        image: (H, W, 3) uint8, upright.
        boxes: (N, 4) float32 as (x1, y1, x2, y2) in its pixels.
        scores: (N,) float32.
        labels: (N,) int64, numbers of classes.
        classes: T names.
        is_base: (T,) bool, those that the detector was trained on.
        masks: (N, H, W) bool, or None of a detector of boxes.
    """

    image: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    classes: list[str]
    is_base: np.ndarray
    masks: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def names(self) -> list[str]:
        """The class of each object."""
        return [self.classes[label] for label in self.labels]

    def to_list(self) -> list[dict]:
        """Objects of plain values, as json takes them.

        Returns:
            For each ``name``, ``base`` (trained on), ``score``, ``box`` [x1, y1, x2, y2], and ``mask`` if there is one,
            COCO's run-length code with ``size`` (height, width) and ``counts``.
        """
        found = [dict(name=name, base=bool(self.is_base[label]), score=round(float(score), 4),
                      box=[round(side, 1) for side in box])
                 for name, label, score, box in zip(self.names, self.labels, self.scores, self.boxes.tolist())]
        for entry, mask in zip(found, () if self.masks is None else self.masks):
            code = mask_utils.encode(np.asfortranarray(mask, np.uint8))
            entry['mask'] = dict(size=code['size'], counts=code['counts'].decode())
        return found

    def to_supervision(self) -> Any:
        """See `supervision_detections`."""
        return supervision_detections(self.boxes, self.scores, self.labels, self.names, self.masks)

    def picture(self) -> Image.Image:
        """The image with every object: trained classes in blue, all others in orange, the best on top."""
        image = self.image.copy()
        colours = [COLOURS[bool(self.is_base[label])] for label in self.labels]
        for mask, colour in reversed(list(zip(() if self.masks is None else self.masks, colours))):
            image[mask] = blend_labels(image[mask], np.zeros(int(mask.sum()), int), [colour])
        picture = Image.fromarray(image)
        texts = [f'{name} {score:.2f}' for name, score in zip(self.names, self.scores)]
        draw_boxes(picture, self.boxes, texts, colours)
        return picture

    def __repr__(self) -> str:
        lines = [f'  {row["score"]:.2f}  {row["name"]}{"" if row["base"] else " (novel)"}  {row["box"]}'
                 for row in self.to_list()[:20]]
        return '\n'.join([f'{len(self)} objects, {len(self.classes)} names', *lines,
                          *(['  ...'] if len(self) > 20 else [])])
