"""Segment AUC of towers and Refiners, see `rsc_mm.evaluation.segment_affinity`."""
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import torch
from mmengine.config import Config

from rsc_mm.datasets import LocalCropRegions, ProposalRegions, RegionSample
from rsc_mm.datasets.annotations import load_coco
from rsc_mm.evaluation import segment_auc
from rsc_mm.utils.regions import crop_extent, pixel_boxes, region_tokens, segments_at

from ..evaluation_data import batches, build_preprocessor, evaluation_dataset
from ..features import Features

Draw = Callable[[RegionSample], RegionSample]


@torch.no_grad()
def measure_segments(config: Config, features: dict[str, Features], images: int = 200,
                     size: int = 7, seed: int = 0, proposals: str | None = None) -> dict[str, float]:
    """Segment AUC of 'position', 'crop alone' and every checkpoint.

    Args:
        config: its evaluation gives images with masks.
        features: for each checkpoint its tower or Refiner.
        images: number of images, the first of the dataset.
        size: side of the region grid.
        seed: of the regions.
        proposals: COCO json with boxes of these images: the regions; None: random local squares.

    Raises:
        ValueError: the json lacks an image.
    """
    dataset, first = evaluation_dataset(config), next(iter(features.values()))
    cropper = build_preprocessor(config, crop_size=config.model.data_preprocessor.crop_size or first.tower.image_size)
    values: dict[str, list[torch.Tensor]] = {name: [] for name in ('position', 'crop alone', *features)}
    rng = np.random.default_rng(seed)
    draw = draw_proposals(proposals, rng) if proposals else draw_squares(rng)
    for batch in batches(dataset, range(min(images, len(dataset))), 10):
        regions = [draw(sample) for sample in batch['data_samples']]
        inputs = cropper({**batch, 'data_samples': regions})
        segments = torch.cat([segments_at(segmentation(sample), region.boxes, size)
                              for sample, region in zip(batch['data_samples'], regions)])
        extents = [crop_extent((y2 - y1, x2 - x1), cropper.crop_size) for region in regions
                   for x1, y1, x2, y2 in pixel_boxes(region.crop_boxes, region.ori_shape)]
        values['position'].append(segment_auc(places(size).expand(len(segments), -1, -1), segments))
        values['crop alone'].append(segment_auc(alone(first.tower, inputs['crops'], extents, size), segments))
        for name, feature in features.items():
            values[name].append(segment_auc(feature.regions(inputs['images'], inputs['boxes'], size), segments))
    return {name: torch.cat(parts).nanmean().item() for name, parts in values.items()}


def draw_squares(rng: np.random.Generator) -> Draw:
    """Draws random local squares of an image, the regions of stage 1.

    Args:
        rng: random number generator.
    """
    source = LocalCropRegions()
    return lambda sample: RegionSample(metainfo=dict(ori_shape=sample.ori_shape),
                                       **source(SimpleNamespace(shape=sample.ori_shape), rng))


def draw_proposals(path: str, rng: np.random.Generator) -> Draw:
    """Draws proposals of an image, the regions of stage 2; none where the image has none.

    Args:
        path: COCO json with boxes.
        rng: random number generator.
    """
    table, source = load_coco(path, '', ProposalRegions.needs, ''), ProposalRegions(crop_scale=1)
    place = {img_id: i for i, img_id in enumerate(table.img_ids)}

    def draw(sample: RegionSample) -> RegionSample:
        if sample.img_id not in place:
            raise ValueError(f'{path}: images: found no id {sample.img_id!r}, expected the images of the evaluation; '
                             'is it the proposals file of the same split?')
        record = table.record(place[sample.img_id])
        record.shape = sample.ori_shape
        regions = source(record, rng)  # of an image without proposals a stand-in, which is not wanted here
        boxes = regions['boxes'][:len(record.boxes)]
        return RegionSample(metainfo=dict(ori_shape=sample.ori_shape), boxes=boxes, crop_boxes=boxes)
    return draw


def segmentation(sample: RegionSample) -> torch.Tensor:
    """The number of the segment of every pixel (H, W), 0 where there is none."""
    numbers = torch.arange(1, len(sample.masks) + 1)[:, None, None]
    return (sample.masks.long() * numbers).sum(0)


def alone(tower: torch.nn.Module, crops: torch.Tensor, extents: list[tuple[int, int, int, int]],
          size: int) -> torch.Tensor:
    """Region tokens (K, size^2, D) of what each crop (K, 3, s, s) shows, without its padding.

    Args:
        tower: encodes the crops.
        crops: (K, 3, s, s).
        extents: K times (x1, y1, x2, y2) of the picture in its crop.
        size: side of the region grid.
    """
    boxes = [crops.new_tensor([extent]) for extent in extents]
    return region_tokens(tower.encode_dense(crops), boxes, tower.patch_size, size)


def places(size: int) -> torch.Tensor:
    """Tokens (size^2, D) whose cosine falls with the distance of their cells: points on a wide sphere's cap."""
    y, x = torch.meshgrid(*[torch.arange(size).float()] * 2, indexing='ij')
    return torch.stack([y.flatten() - size / 2, x.flatten() - size / 2, torch.full((size**2, ), 100. * size)], dim=1)
