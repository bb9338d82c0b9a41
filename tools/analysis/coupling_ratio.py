"""Semantic coupling ratio: how much of an image ends up in the tokens of another image beside it.

  python tools/analysis/coupling_ratio.py configs/shapes/region_classification.py CHECKPOINT --pairs 200 --out cr.json
  python tools/analysis/coupling_ratio.py configs/shapes/refiner.py work_dirs/refiner/refiner.pth

Two images A and B, drawn at random, are cut to their centre square, resized to model.data_preprocessor.image_size and
encoded alone and side by side (AB). Of tokens Z (Qiu et al., ICLR 2025, app. C.3, eq. 15):

  CR = mean_i cos(Z_A|AB[i], Z_B|AB[j]) / cos(Z_A[i], Z_B[j]),   j = argmax_k cos(Z_A|AB[i], Z_B|AB[k])

1: the neighbour changes nothing. Above 1: tokens of unrelated images become alike because they share a canvas.
The paper's values, COCO val2017: EVA-CLIP 2.32, CLIPSelf 1.86, Refiner 0.95, R-SC-CLIPSelf 0.97.

Printed and written to --out: coupling_ratio is eq. 15, a mean of ratios, with its standard error over pairs; a
denominator near or below 0 makes it meaningless, and denominators_below_0.05 says how many tokens have one. Then
coupling_ratio_of_means (sum of numerators by sum of denominators) and coupling_ratio_median are the ones to read.

CONFIG is one whose model is a RegionEncoder or a distiller (CHECKPOINT: weights of the tower, as for tools/test.py), or
a RefinerTrainer (CHECKPOINT: what stage 1 saved; the regions are A and B, and the whole image for A and B alone). Its
test_dataloader or val_dataloader gives the images.
"""
import argparse
import json
from pathlib import Path

import numpy as np
import torch
from common import build_preprocessor, evaluation_dataset, load_config, parser, square_images
from features import load_features
from tqdm import tqdm

from rsc_mm.evaluation.coupling_ratio import coupled_cosines, summarise_coupling


def parse_args() -> argparse.Namespace:
    arguments = parser(__doc__)
    arguments.add_argument('config', help='configuration of a tower or of a Refiner')
    arguments.add_argument('checkpoint', help="weights: a file, or 'open_clip::MODEL/TAG'")
    arguments.add_argument('--pairs', type=int, default=200, help='pairs of images; default 200')
    arguments.add_argument('--batch-size', type=int, default=10, help='pairs at a time; default 10')
    arguments.add_argument('--seed', type=int, default=0, help='of the drawn pairs; default 0')
    arguments.add_argument('--out', type=Path, metavar='JSON', help='where the figures go as well')
    return arguments.parse_args()


def main() -> None:
    args = parse_args()
    figures = measure(args.config, args.checkpoint, args.pairs, args.seed, args.batch_size, args.cfg_options)
    print('\n'.join(f'{name:30s} {value:.4f}' for name, value in figures.items()))
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(figures, indent=1))


@torch.no_grad()
def measure(config: str, checkpoint: str, pairs: int = 200, seed: int = 0, batch_size: int = 10,
            options: dict | None = None) -> dict[str, float]:
    """The coupling of a tower or of a Refiner.

    Args:
        config: configuration file.
        checkpoint: weights.
        pairs: number P of pairs of images.
        seed: of the drawn pairs.
        batch_size: pairs at a time.
        options: overrides of the configuration.

    Returns:
        See `summarise_coupling`.
    """
    cfg = load_config(config, options)
    features, preprocessor = load_features(cfg, checkpoint), build_preprocessor(cfg)
    paths = evaluation_dataset(cfg).table.img_paths
    drawn = [(paths[i], paths[j]) for i, j in draw_pairs(len(paths), pairs, seed)]
    parts = [couple(features, *(square_images(side, preprocessor) for side in zip(*drawn[first:first + batch_size])))
             for first in tqdm(range(0, pairs, batch_size), disable=None)]
    return summarise_coupling(*(torch.cat(column) for column in zip(*parts)))


def couple(features: object, a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Numerators and denominators (P, N) of eq. 15.

    Args:
        features: `TowerFeatures`, `RefinerFeatures`, or another with their ``parts``.
        a: images (P, 3, S, S).
        b: images (P, 3, S, S).
    """
    maps = [*features.parts(torch.cat([a, b], dim=3), 2), *features.parts(a), *features.parts(b)]
    return coupled_cosines(*(dense.flatten(2).mT for dense in maps))


def draw_pairs(images: int, pairs: int, seed: int) -> list[tuple[int, int]]:
    """Pairs of two different images, each pair independent of the others.

    Args:
        images: number of images.
        pairs: number of pairs.
        seed: of the draw.

    Raises:
        SystemExit: there are fewer than two images, or no pair is asked for.
    """
    if images < 2 or pairs < 1:
        raise SystemExit(f'--pairs: found {pairs} pairs of {images} images, expected at least 1 pair of 2 images')
    rng = np.random.default_rng(seed)
    first = rng.integers(images, size=pairs)
    second = (first + rng.integers(1, images, size=pairs)) % images
    return list(zip(first.tolist(), second.tolist()))


if __name__ == '__main__':
    main()
