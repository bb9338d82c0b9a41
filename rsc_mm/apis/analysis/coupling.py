"""The semantic coupling ratio of a tower or of a Refiner, see `rsc_mm.evaluation.coupling_ratio`."""
import numpy as np
import torch
from tqdm import tqdm

from rsc_mm.evaluation.coupling_ratio import coupled_cosines, summarise_coupling

from ..config import load_config
from ..evaluation_data import build_preprocessor, evaluation_dataset, square_images
from ..features import Features, load_features


@torch.no_grad()
def measure_coupling(config: str, checkpoint: str, pairs: int = 200, seed: int = 0, batch_size: int = 10,
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


def couple(features: Features, a: torch.Tensor,
           b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Numerators and denominators (P, N) of eq. 15.

    Args:
        features: of a tower or of a Refiner.
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
        ValueError: there are fewer than two images, or no pair is asked for.
    """
    if images < 2 or pairs < 1:
        raise ValueError(f'--pairs: found {pairs} pairs of {images} images, expected at least 1 pair of 2 images')
    rng = np.random.default_rng(seed)
    first = rng.integers(images, size=pairs)
    second = (first + rng.integers(1, images, size=pairs)) % images
    return list(zip(first.tolist(), second.tolist()))
