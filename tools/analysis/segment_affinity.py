"""Segment AUC: do the tokens of a region know which of them belong together?

  python tools/analysis/segment_affinity.py --config configs/shapes/region_classification.py configs/shapes/refiner.py \
      --checkpoints projects/shapes_clip/shapes_clip.pt work_dirs/refiner/refiner.pth

Of random local squares of the annotated images (those that stage 1 of R-SC trains on: LocalCropRegions, side 0.3 to
0.7 of the image's) every pair of tokens is scored by its cosine. The AUC is that of telling the pairs of one panoptic
segment from the pairs of two: 0.5 says nothing, 1 is perfect. A row for each checkpoint reads the region in its image,
by RoIAlign or through the Refiner; 'crop alone' is the first tower on the square cut out, the target of stage 1;
'position' scores pairs by nearness alone. It tells whether the correlations that R-SC distils (eq. 3) are worth it.
"""
import argparse
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from common import batches, build_preprocessor, evaluation_dataset, format_table, load_config, parser
from features import compared_checkpoints, load_several

from rsc_mm.datasets import LocalCropRegions, RegionSample
from rsc_mm.evaluation import segment_auc, segments_at
from rsc_mm.utils.regions import region_tokens


def parse_args() -> argparse.Namespace:
    arguments = parser(__doc__)
    compared_checkpoints(arguments)
    arguments.add_argument('--images', type=int, default=200, help='of the evaluation dataset, the first; default 200')
    arguments.add_argument('--size', type=int, default=7, help='side of the region grid; default 7')
    arguments.add_argument('--seed', type=int, default=0, help='of the squares; default 0')
    arguments.add_argument('--out', type=Path, metavar='JSON', help='where the figures go as well')
    return arguments.parse_args()


@torch.no_grad()
def main() -> None:
    args = parse_args()
    config, features = load_config(args.config[0], args.cfg_options), load_several(args)
    dataset, first = evaluation_dataset(config), next(iter(features.values()))
    cropper = build_preprocessor(config, crop_size=config.model.data_preprocessor.crop_size or first.tower.image_size)
    values = {name: [] for name in ('position', 'crop alone', *features)}
    source, rng = LocalCropRegions(), np.random.default_rng(args.seed)
    for batch in batches(dataset, range(min(args.images, len(dataset))), 10):
        squares = [draw(sample, source, rng) for sample in batch['data_samples']]
        inputs = cropper({**batch, 'data_samples': squares})
        segments = torch.cat([segments_at(segmentation(sample), square.boxes, args.size)
                              for sample, square in zip(batch['data_samples'], squares)])
        values['position'].append(segment_auc(places(args.size).expand(len(segments), -1, -1), segments))
        values['crop alone'].append(segment_auc(alone(first.tower, inputs['crops'], args.size), segments))
        for name, feature in features.items():
            values[name].append(segment_auc(feature.regions(inputs['images'], inputs['boxes'], args.size), segments))
    figures = {name: torch.cat(parts).nanmean().item() for name, parts in values.items()}
    print(format_table(['', 'segment AUC'], [[name, f'{value:.3f}'] for name, value in figures.items()]))
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(figures, indent=1))


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


if __name__ == '__main__':
    main()
