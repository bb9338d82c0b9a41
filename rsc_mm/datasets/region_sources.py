"""Where the regions of an image come from: a grid, proposals, nouns or annotations.

A source is called as ``source(record, rng) -> dict`` with an `ImageRecord` and a numpy Generator; the dict holds the
data fields of `RegionSample`. Its class attribute ``needs`` names the annotation keys that the json must have, and
``annotated_only`` whether images without annotation are left out of the dataset; if they are not,
``without_annotation`` may say what they get.
"""
import numpy as np
import torch

from rsc_mm.registry import TASK_UTILS
from rsc_mm.utils.regions import corners, expand_boxes, file_boxes, mask_extents

from .image_io import read_segments
from .structures import ImageRecord

Fields = dict[str, torch.Tensor]


@TASK_UTILS.register_module()
class GridRegions:
    r"""Cells of a random m x n grid over the whole image (CLIPSelf, sec. 3.2, image patches).

    m rows are in 1..max_split and n columns in ceil(m / 2)..min(2 m, max_split); every (m, n) is equally likely (24
    choices for max_split 6). The cells are shuffled and at most ``max_regions`` are kept.

    Args:
        max_split: largest number of rows or columns.
        max_regions: most cells of one image.
        crop_scale: side of the teacher's crop relative to its cell, clipped to the image.

    Raises:
        ValueError: an argument is below 1.
    """

    needs: tuple[str, ...] = ()
    annotated_only = False

    def __init__(self, max_split: int = 6, max_regions: int = 20, crop_scale: float = 1.0) -> None:
        check_at_least_one('GridRegions', max_split=max_split, max_regions=max_regions, crop_scale=crop_scale)
        self.choices = tuple((m, n) for m in range(1, max_split + 1)
                             for n in range((m + 1) // 2, min(2 * m, max_split) + 1))
        self.max_regions = max_regions
        self.crop_scale = crop_scale

    def __call__(self, record: ImageRecord, rng: np.random.Generator) -> Fields:
        """Draws the cells of one image: ``boxes`` and ``crop_boxes`` (K, 4)."""
        height, width = record.shape
        rows, columns = self.choices[rng.integers(len(self.choices))]
        y, x = np.linspace(0, height, rows + 1), np.linspace(0, width, columns + 1)
        cells = np.array([(x[j], y[i], x[j + 1], y[i + 1]) for i in range(rows) for j in range(columns)])
        boxes = boxes_tensor(cells[rng.permutation(len(cells))[:self.max_regions]])
        return {'boxes': boxes, 'crop_boxes': expand_boxes(boxes, self.crop_scale, record.shape)}


@TASK_UTILS.register_module()
class ProposalRegions:
    r"""Class-agnostic proposals of the annotation file (CLIPSelf, sec. 3.2, region proposals).

    The file is COCO json: ``images`` and ``annotations`` with ``image_id`` and ``bbox`` [x, y, width, height]; other
    keys, the category too, are not read. Proposals are shuffled, the first ``max_regions`` taken, and of these the
    ones with an area outside [min_size^2, max_size^2] dropped. An image with nothing left gets one box, the upper
    left [0, 0, W / 4, H / 4], as in the public CLIPSelf code; the teacher's crop is then the same box.

    Args:
        max_regions: most proposals of one image, before the area limits.
        min_size: square root of the smallest area, in original pixels.
        max_size: square root of the largest area.
        crop_scale: side of the teacher's crop relative to the proposal, clipped; the student's box is not expanded.

    Raises:
        ValueError: ``max_regions`` or ``crop_scale`` is below 1.
    """

    needs: tuple[str, ...] = ('bbox', )
    annotated_only = False
    without_annotation = 'get the box [0, 0, width / 4, height / 4] alone'

    def __init__(self, max_regions: int = 20, min_size: float = 8, max_size: float = 1024,
                 crop_scale: float = 1.5) -> None:
        check_at_least_one('ProposalRegions', max_regions=max_regions, crop_scale=crop_scale)
        self.max_regions = max_regions
        self.min_size = min_size
        self.max_size = max_size
        self.crop_scale = crop_scale

    def __call__(self, record: ImageRecord, rng: np.random.Generator) -> Fields:
        """Draws the proposals of one image: ``boxes`` and ``crop_boxes`` (K, 4)."""
        xywh = record.boxes[rng.permutation(len(record.boxes))[:self.max_regions]]
        xywh = xywh[_area_within(xywh, self.min_size, self.max_size)]
        if not len(xywh):
            boxes = torch.tensor([[0, 0, record.shape[1] / 4, record.shape[0] / 4]])
            return {'boxes': boxes, 'crop_boxes': boxes.clone()}
        boxes = corners(xywh).float()
        return {'boxes': boxes, 'crop_boxes': expand_boxes(boxes, self.crop_scale, record.shape)}


@TASK_UTILS.register_module()
class RegionTextRegions:
    r"""Boxes with the noun that describes each, for region-text distillation (RegionCLIP, sec. 3.2).

    The file, written by ``tools/data/generate_region_text.py``, is COCO json::

        {"images": [{"id": 9, "file_name": "000000000009.jpg", "height": 480, "width": 640}, ...],
         "annotations": [{"id": 1, "image_id": 9, "category_id": 17, "bbox": [x, y, width, height]}, ...],
         "categories": [{"id": 1, "name": "umbrella"}, ...]}

    ``bbox`` is in original pixels, ``categories`` is the noun list, and a noun's label is its rank among the category
    ids: row ``label`` of the noun embeddings. Further keys (``score``, ``area``) are not read. Images without
    annotation are left out. Up to ``max_regions`` boxes of an image are drawn at random; the public code takes the
    first ones of the file, which never shows the others.

    Args:
        max_regions: most boxes of one image.
        crop_scale: side of the crop relative to the box, clipped, for a distiller that also encodes crops.

    Raises:
        ValueError: an argument is below 1.
    """

    needs: tuple[str, ...] = ('bbox', 'category_id')
    annotated_only = True

    def __init__(self, max_regions: int = 20, crop_scale: float = 1.5) -> None:
        check_at_least_one('RegionTextRegions', max_regions=max_regions, crop_scale=crop_scale)
        self.max_regions = max_regions
        self.crop_scale = crop_scale

    def __call__(self, record: ImageRecord, rng: np.random.Generator) -> Fields:
        """Draws the boxes of one image: ``boxes``, ``crop_boxes`` (K, 4) and ``labels`` (K,)."""
        rows = rng.permutation(len(record.boxes))[:self.max_regions]
        boxes = corners(record.boxes[rows]).float()
        return {'boxes': boxes, 'crop_boxes': expand_boxes(boxes, self.crop_scale, record.shape),
                'labels': torch.from_numpy(record.labels[rows])}


@TASK_UTILS.register_module()
class InstanceRegions:
    """All annotated boxes of a COCO or LVIS json, for zero-shot region classification.

    Nothing is drawn at random. Boxes with an area outside [min_size^2, max_size^2] are left out; crowd boxes stay.

    Args:
        min_size: square root of the smallest area, in original pixels.
        max_size: square root of the largest area.
        crop_scale: side of the crop relative to the box, clipped.

    Raises:
        ValueError: ``crop_scale`` is below 1.
    """

    needs: tuple[str, ...] = ('bbox', 'category_id')
    annotated_only = False

    def __init__(self, min_size: float = 8, max_size: float = 1024, crop_scale: float = 1.5) -> None:
        check_at_least_one('InstanceRegions', crop_scale=crop_scale)
        self.min_size = min_size
        self.max_size = max_size
        self.crop_scale = crop_scale

    def __call__(self, record: ImageRecord, rng: np.random.Generator) -> Fields:
        """The boxes of one image: ``boxes``, ``crop_boxes`` (K, 4), ``labels`` and ``is_thing`` (K,)."""
        rows = np.flatnonzero(_area_within(record.boxes, self.min_size, self.max_size))
        boxes = corners(record.boxes[rows]).float()
        return {'boxes': boxes, 'crop_boxes': expand_boxes(boxes, self.crop_scale, record.shape),
                'labels': torch.from_numpy(record.labels[rows]), 'is_thing': torch.from_numpy(record.is_thing[rows])}


@TASK_UTILS.register_module()
class PanopticRegions:
    """All segments of a COCO panoptic json with their masks, for zero-shot region classification (CLIPSelf, table 2).

    A thing's box is its annotated bbox and its crop is expanded; a stuff's box is the extent of its mask and its crop
    is that box. Segments with w * h outside [min_size^2, max_size^2] are left out, crowd segments stay, as in the
    public CLIPSelf code; that code ends a mask's extent at the last pixel's index, here it ends one pixel later.

    Args:
        min_size: square root of the smallest area w * h, in original pixels.
        max_size: square root of the largest area.
        crop_scale: side of a thing's crop relative to its box, clipped.

    Raises:
        ValueError: ``crop_scale`` is below 1.
    """

    needs: tuple[str, ...] = ('segments_info', 'bbox', 'category_id')
    annotated_only = False

    def __init__(self, min_size: float = 8, max_size: float = 1024, crop_scale: float = 1.5) -> None:
        check_at_least_one('PanopticRegions', crop_scale=crop_scale)
        self.min_size = min_size
        self.max_size = max_size
        self.crop_scale = crop_scale

    def __call__(self, record: ImageRecord, rng: np.random.Generator) -> Fields:
        """The segments of one image: ``boxes``, ``crop_boxes`` (K, 4), ``labels``, ``is_thing`` (K,), ``masks``.

        Raises:
            BadImageError: the png is missing, broken or of another size than the image.
            ValueError: the png lacks a segment of the json.
        """
        masks = self._masks(record)
        is_thing = torch.from_numpy(record.is_thing)
        boxes = torch.where(is_thing[:, None], corners(record.boxes), mask_extents(masks))
        keep = torch.from_numpy(_area_within(file_boxes(boxes).numpy(), self.min_size, self.max_size))
        boxes, is_thing = boxes[keep].float(), is_thing[keep]
        crops = torch.where(is_thing[:, None], expand_boxes(boxes, self.crop_scale, record.shape), boxes)
        return {'boxes': boxes, 'crop_boxes': crops, 'labels': torch.from_numpy(record.labels)[keep],
                'is_thing': is_thing, 'masks': masks[keep].byte()}

    @staticmethod
    def _masks(record: ImageRecord) -> torch.Tensor:
        """(K, H, W) bool of all segments."""
        if not len(record.segment_ids):
            return torch.zeros(0, *record.shape, dtype=torch.bool)
        segments = read_segments(record.segmentation_path, record.shape)
        masks = torch.from_numpy(record.segment_ids).int()[:, None, None] == segments
        empty = record.segment_ids[~masks.flatten(1).any(1).numpy()]
        if len(empty):
            raise ValueError(f'{record.segmentation_path}: found no pixel of the segment {empty[0]}, expected every id '
                             'of segments_info; do the json and the pngs belong together?')
        return masks


def check_at_least_one(name: str, **values: float) -> None:
    """Refuse fields below 1.

    Args:
        name: the source's class.
        values: its fields.

    Raises:
        ValueError: one is below 1.
    """
    for key, value in values.items():
        if value < 1:
            raise ValueError(f'{name}.{key}: found {value}, expected at least 1')


def boxes_tensor(boxes: np.ndarray) -> torch.Tensor:
    """Boxes (K, 4) as float32.

    Args:
        boxes: (K, 4).
    """
    return torch.from_numpy(boxes).float()


def _area_within(xywh: np.ndarray, min_size: float, max_size: float) -> np.ndarray:
    """(K,) bool; the limits count as inside."""
    area = xywh[:, 2] * xywh[:, 3]
    return (area >= min_size**2) & (area <= max_size**2)
