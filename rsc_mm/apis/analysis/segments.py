"""Segment AUC of towers and Refiners, see `rsc_mm.evaluation.segment_affinity`."""
from types import SimpleNamespace

import numpy as np
import torch
from mmengine.config import Config

from rsc_mm.datasets import LocalCropRegions, RegionSample
from rsc_mm.evaluation import segment_auc, segments_at
from rsc_mm.utils.regions import region_tokens

from ..evaluation_data import batches, build_preprocessor, evaluation_dataset
from ..features import RefinerFeatures, TowerFeatures


@torch.no_grad()
def measure_segments(config: Config, features: dict[str, TowerFeatures | RefinerFeatures], images: int = 200,
                     size: int = 7, seed: int = 0) -> dict[str, float]:
    """Segment AUC of 'position', 'crop alone' and every checkpoint.

    Args:
        config: its evaluation gives images with masks.
        features: for each checkpoint its tower or Refiner.
        images: number of images, the first of the dataset.
        size: side of the region grid.
        seed: of the squares.
    """
    dataset, first = evaluation_dataset(config), next(iter(features.values()))
    cropper = build_preprocessor(config, crop_size=config.model.data_preprocessor.crop_size or first.tower.image_size)
    values = {name: [] for name in ('position', 'crop alone', *features)}
    source, rng = LocalCropRegions(), np.random.default_rng(seed)
    for batch in batches(dataset, range(min(images, len(dataset))), 10):
        squares = [draw(sample, source, rng) for sample in batch['data_samples']]
        inputs = cropper({**batch, 'data_samples': squares})
        segments = torch.cat([segments_at(segmentation(sample), square.boxes, size)
                              for sample, square in zip(batch['data_samples'], squares)])
        values['position'].append(segment_auc(places(size).expand(len(segments), -1, -1), segments))
        values['crop alone'].append(segment_auc(alone(first.tower, inputs['crops'], size), segments))
        for name, feature in features.items():
            values[name].append(segment_auc(feature.regions(inputs['images'], inputs['boxes'], size), segments))
    return {name: torch.cat(parts).nanmean().item() for name, parts in values.items()}


def draw(sample: RegionSample, source: LocalCropRegions, rng: np.random.Generator) -> RegionSample:
    """Random local squares of an image."""
    shape = sample.ori_shape
    return RegionSample(metainfo=dict(ori_shape=shape), **source(SimpleNamespace(shape=shape), rng))


def segmentation(sample: RegionSample) -> torch.Tensor:
    """The number of the segment of every pixel (H, W), 0 where there is none."""
    numbers = torch.arange(1, len(sample.masks) + 1)[:, None, None]
    return (sample.masks.long() * numbers).sum(0)


def alone(tower: torch.nn.Module, crops: torch.Tensor, size: int) -> torch.Tensor:
    """Region tokens (K, size^2, D) of whole crops (K, 3, s, s)."""
    whole = crops.new_tensor([[0, 0, crops.shape[3], crops.shape[2]]])
    return region_tokens(tower.encode_dense(crops), [whole] * len(crops), tower.patch_size, size)


def places(size: int) -> torch.Tensor:
    """Tokens (size^2, D) whose cosine falls with the distance of their cells: points on a wide sphere's cap."""
    y, x = torch.meshgrid(*[torch.arange(size).float()] * 2, indexing='ij')
    return torch.stack([y.flatten() - size / 2, x.flatten() - size / 2, torch.full((size**2, ), 100. * size)], dim=1)
