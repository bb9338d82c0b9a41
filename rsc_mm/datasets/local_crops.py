"""The local crops of R-SC's Refiner as a region source, alone or beside another source."""
import numpy as np
import torch

from rsc_mm.registry import TASK_UTILS
from rsc_mm.utils.regions import segments_at

from .image_io import read_segments
from .region_sources import Fields, boxes_tensor, check_at_least_one
from .structures import ImageRecord


@TASK_UTILS.register_module()
class LocalCropRegions:
    r"""Random square boxes of the image, cut out as they are: the local crops of the Refiner (R-SC, sec. 3.3, 4.1).

    A box's side is :math:`r \sqrt{H W}`, r uniform in ``scale``, at most the shorter side of the image: its area is
    :math:`r^2` of the image's. Square and of whole pixels, so that the crop is neither squashed nor padded and its
    tokens lie where RoIAlign samples the region; the paper says no more than scale ratios in [0.3, 0.7].

    Args:
        num_regions: C, boxes of an image.
        scale: least and largest r.

    Raises:
        ValueError: ``num_regions`` is below 1, or ``scale`` not 0 < least <= largest.
    """

    needs: tuple[str, ...] = ()
    annotated_only = False

    def __init__(self, num_regions: int = 4, scale: tuple[float, float] = (0.3, 0.7)) -> None:
        check_at_least_one('LocalCropRegions', num_regions=num_regions)
        if not 0 < scale[0] <= scale[1]:
            raise ValueError(f'LocalCropRegions.scale: found {scale}, expected 0 < least <= largest')
        self.num_regions = num_regions
        self.scale = scale

    def __call__(self, record: ImageRecord, rng: np.random.Generator) -> Fields:
        """Draws the boxes of one image: ``boxes`` and the same ``crop_boxes`` (C, 4)."""
        height, width = record.shape
        side = rng.uniform(*self.scale, self.num_regions) * np.sqrt(height * width)
        side = np.clip(side.round(), 1, min(height, width))
        x, y = (np.floor(rng.uniform(size=self.num_regions) * (limit - side + 1)) for limit in (width, height))
        boxes = boxes_tensor(np.stack([x, y, x + side, y + side], axis=1))
        return {'boxes': boxes, 'crop_boxes': boxes.clone()}


@TASK_UTILS.register_module()
class WithLocalCrops:
    """The regions of another source, and local crops, told apart by ``is_local`` (K,): for end-to-end R-SC.

    Other fields of that source, such as the ``labels`` of nouns, stay as they are, without rows for the local crops.

    Args:
        regions: the other source, such as ``dict(type='ProposalRegions')``.
        num_crops: see `LocalCropRegions`.
        scale: see `LocalCropRegions`.
    """

    def __init__(self, regions: dict, num_crops: int = 4, scale: tuple[float, float] = (0.3, 0.7)) -> None:
        self.regions = TASK_UTILS.build(regions)
        self.crops = LocalCropRegions(num_crops, scale)
        self.needs = self.regions.needs
        self.annotated_only = self.regions.annotated_only
        self.without_annotation = getattr(self.regions, 'without_annotation', 'have no region')

    def __call__(self, record: ImageRecord, rng: np.random.Generator) -> Fields:
        """Draws both: ``boxes``, ``crop_boxes`` (K, 4) and ``is_local`` (K,)."""
        regions, crops = self.regions(record, rng), self.crops(record, rng)
        fields = {key: torch.cat([regions[key], crops[key]]) for key in crops}
        return {**regions, **fields, 'is_local': torch.arange(len(fields['boxes'])) >= len(regions['boxes'])}


@TASK_UTILS.register_module()
class SegmentedLocalCrops:
    """Local crops of a COCO panoptic json, with the annotated segment of every token: ``segments`` (C, grid^2).

    For the ``negatives`` of `RefinerTrainer` that look at the annotation.

    Args:
        grid: side of a crop's token grid, ``crop_size / patch_size``.
        num_crops: see `LocalCropRegions`.
        scale: see `LocalCropRegions`.

    Raises:
        ValueError: ``grid`` is below 1, or as `LocalCropRegions`.
    """

    needs: tuple[str, ...] = ('segments_info', 'bbox', 'category_id')
    annotated_only = False

    def __init__(self, grid: int, num_crops: int = 4, scale: tuple[float, float] = (0.3, 0.7)) -> None:
        check_at_least_one('SegmentedLocalCrops', grid=grid)
        self.grid = grid
        self.crops = LocalCropRegions(num_crops, scale)

    def __call__(self, record: ImageRecord, rng: np.random.Generator) -> Fields:
        """Draws the boxes of one image: ``boxes``, ``crop_boxes`` (C, 4) and ``segments`` (C, grid^2), 0 for none.

        Raises:
            BadImageError: the png is missing, broken or of another size than the image.
        """
        fields = self.crops(record, rng)
        segments = read_segments(record.segmentation_path, record.shape)
        return {**fields, 'segments': segments_at(segments, fields['boxes'], self.grid)}
