"""The data structures that travel from an annotation file to the model."""
from dataclasses import dataclass

import numpy as np
from mmengine.structures import BaseDataElement


class RegionSample(BaseDataElement):
    """The regions of one image, in original pixels of the image file.

    Data fields: ``boxes`` and ``crop_boxes`` (K, 4), float32 (x1, y1, x2, y2): what the student pools and what is cut
    out for the teacher. Optional: ``labels`` (K,) int64, ``is_thing`` (K,) bool, ``masks`` (K, H, W) uint8 in {0, 1},
    ``is_local`` (K,) bool.
    A model adds ``box_features``, ``mask_features`` and ``crop_features`` (K, D).

    Meta fields: ``img_id`` (unique in its dataset), ``img_path``, ``ori_shape`` (H, W); the preprocessor adds
    ``img_shape``, height and width in network pixels without the padding.
    """


@dataclass
class ImageRecord:
    """One image and its annotated regions, as a region source receives them.

    Attributes:
        img_id: id of the annotation file, or the path of an image without one.
        img_path: image file.
        shape: height and width in pixels; (-1, -1) where only the file knows them.
        boxes: (K, 4) float64 (x, y, width, height) in original pixels.
        labels: (K,) int64, contiguous in the order of the category ids.
        is_thing: (K,) bool.
        segment_ids: (K,) int64 colours of the panoptic png.
        segmentation_path: panoptic png, or None.
    """

    img_id: int | str
    img_path: str
    shape: tuple[int, int]
    boxes: np.ndarray
    labels: np.ndarray
    is_thing: np.ndarray
    segment_ids: np.ndarray
    segmentation_path: str | None
