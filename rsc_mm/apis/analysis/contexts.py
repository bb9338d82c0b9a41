"""Training-free aggregation of an image's tokens over many contexts, see `rsc_mm.evaluation.aggregation`."""
import statistics
from collections.abc import Sequence

import torch
from mmengine.config import Config

from rsc_mm.datasets import RegionSample
from rsc_mm.evaluation import aggregate, cut_submaps, embed_target, matched_iou, random_places, token_labels
from rsc_mm.visualization import kmeans

from ..evaluation_data import build_preprocessor, centre_square, evaluation_dataset, no_regions, square_images
from ..features import load_features

SEEDS = (0, 1, 2)


class ContextAggregator:
    """The tokens of a target image for each number of contexts.

    Args:
        config: configuration of a tower or of a Refiner.
        checkpoint: weights.
        counts: numbers of contexts N, ascending or not.
        target_size: side of the targets in pixels; default: half the contexts'.
        batch_size: contexts at a time.
        seed: of images and places.
    """

    def __init__(self, config: Config, checkpoint: str, counts: Sequence[int], target_size: int | None = None,
                 batch_size: int = 16, seed: int = 0) -> None:
        self.features = load_features(config, checkpoint)
        self.patch_size = self.features.patch_size
        context_size = config.model.data_preprocessor.image_size
        target_size = target_size or context_size // 2 // self.patch_size * self.patch_size
        self.grid, self.part = context_size // self.patch_size, target_size // self.patch_size
        self.contexts = build_preprocessor(config)
        self.targets = build_preprocessor(config, image_size=target_size)
        self.dataset = evaluation_dataset(config, min_size=0, max_size=1e9)
        self.counts, self.batch_size = counts, batch_size
        self.generator = torch.Generator().manual_seed(seed)
        self.order = torch.randperm(len(self.dataset), generator=self.generator)

    def __call__(self, index: int) -> dict[str, torch.Tensor]:
        """One target: ``image`` (3, H, H) uint8, ``labels`` (g, g), ``maps`` (1 + len(counts), D, g, g), alone first.

        Args:
            index: number of the target in the dataset.
        """
        item = self.dataset[index]
        image = centre_square(item['inputs'])
        target = self.targets(dict(inputs=[image], data_samples=[no_regions()]))['images'][0]  # (3, t, t)
        maps = [self.features.parts(target[None])[0], aggregate(self._submaps(target, index), self.counts)]
        return {'image': image, 'labels': self._labels(item['data_samples']), 'maps': torch.cat(maps).cpu()}

    def _submaps(self, target: torch.Tensor, index: int) -> torch.Tensor:
        """The target's tokens in each of its contexts (N, D, g, g)."""
        count = max(self.counts)
        drawn = torch.randint(1, len(self.dataset), (count, ), generator=self.generator)
        paths = [self.dataset.table.img_paths[(index + i) % len(self.dataset)] for i in drawn.tolist()]
        places = random_places(count, self.grid, self.part, self.generator)
        submaps = []
        for first in range(0, count, self.batch_size):
            chosen = slice(first, first + self.batch_size)
            contexts = square_images(paths[chosen], self.contexts)
            dense, = self.features.parts(embed_target(target, contexts, places[chosen], self.patch_size))
            submaps.append(cut_submaps(dense, places[chosen], self.part))
        return torch.cat(submaps)

    def _labels(self, sample: RegionSample) -> torch.Tensor:
        if 'masks' not in sample:
            raise ValueError(f'{sample.img_path}: found no masks, expected a dataset with '
                             "regions=dict(type='PanopticRegions')")
        return token_labels(centre_square(sample.masks), sample.labels, (self.part, self.part))


def segment(tokens: torch.Tensor, labels: torch.Tensor, num_classes: int) -> tuple[list[str], torch.Tensor]:
    """mIoU and share of right tokens as text, and the class of each token (M,) with the first K-means seed.

    Args:
        tokens: (M, D).
        labels: (M,), -1 without annotation.
        num_classes: T.
    """
    ious, shares, predictions = [], [], []
    for seed in SEEDS:
        clusters = kmeans(tokens, min(num_classes, len(tokens)), seed)
        iou, assigned = matched_iou(clusters, labels, num_classes)
        predictions.append(assigned[clusters])
        ious.append(iou)
        shares.append(100 * (predictions[-1] == labels)[labels >= 0].double().mean().item())
    cells = [f'{statistics.mean(values):.1f} ± {statistics.stdev(values):.1f}' for values in (ious, shares)]
    return cells, predictions[0]
