"""Training-free refinement: an image's tokens averaged over many contexts segment it better.

  python tools/analysis/aggregate_contexts.py configs/shapes/region_classification.py CHECKPOINT --out contexts.png

The target image X_t is put at a random place into N other images X_i, drawn at random; the tokens that the tower gives
to it there are averaged (Qiu et al., ICLR 2025, sec. 3.3, eq. 7, and app. B.1):

  Z_Xt = 1/N sum_i Z_{Xt|Xi}

The table tells for each N of --contexts how well the tokens segment without supervision. Those of all targets are
clustered by K-means into as many clusters as there are classes; clusters are assigned to classes one to one so that the
sum of IoU is greatest; mIoU over the classes present and the share of right tokens are in percent, mean and standard
deviation over three K-means seeds. N = 0 is the target alone, at the same size. The contexts of a smaller N are the
first of the larger. The paper measures mIoU by CAUSE instead, and reports 2 points for N = 32.

CONFIG and CHECKPOINT are those of coupling_ratio.py; the test_dataloader needs masks (PanopticRegions). Targets are
centre squares of --target-size pixels, by default half of model.data_preprocessor.image_size, the contexts' size.
"""
import argparse
import statistics
from pathlib import Path

import torch
from common import (
    build_preprocessor,
    centre_square,
    evaluation_dataset,
    format_table,
    load_config,
    no_regions,
    parser,
    square_images,
)
from features import load_features
from pictures import class_colours, plt, save_figure
from tqdm import tqdm

from rsc_mm.evaluation import aggregate, cut_submaps, embed_target, matched_iou, random_places, token_labels
from rsc_mm.visualization import kmeans

SEEDS = (0, 1, 2)


def parse_args() -> argparse.Namespace:
    arguments = parser(__doc__)
    arguments.add_argument('config', help='configuration of a tower or of a Refiner')
    arguments.add_argument('checkpoint', help="weights: a file, or 'open_clip::MODEL/TAG'")
    arguments.add_argument('--contexts', type=int, nargs='+', default=[1, 2, 4, 8, 16, 32], metavar='N')
    arguments.add_argument('--images', type=int, default=100, help='number of target images; default 100')
    arguments.add_argument('--target-size', type=int, help='side of the targets in pixels; default: half the contexts')
    arguments.add_argument('--batch-size', type=int, default=16, help='contexts at a time; default 16')
    arguments.add_argument('--seed', type=int, default=0, help='of images and places; default 0')
    arguments.add_argument('--rows', type=int, default=4, help='targets in the picture; default 4')
    arguments.add_argument('--out', type=Path, default=Path('work_dirs/analysis/contexts.png'), help='the picture')
    return arguments.parse_args()


@torch.no_grad()
def main() -> None:
    args = parse_args()
    aggregator = Aggregator(args)
    targets = [aggregator(index) for index in tqdm(aggregator.order[:args.images].tolist(), disable=None)]
    labels = torch.cat([target['labels'].flatten() for target in targets])
    names = ['0', *map(str, args.contexts)]
    num_classes = len(aggregator.dataset.metainfo['classes'])
    rows, pictures = [], {}
    for i, name in enumerate(names):
        tokens = torch.cat([target['maps'][i].flatten(1).t() for target in targets])  # (M, D)
        scores, predicted = segment(tokens, labels, num_classes)
        rows.append([name, *scores])
        pictures[name] = predicted.view(len(targets), *targets[0]['labels'].shape)  # (targets, g, g)
    print(format_table(['N', 'mIoU', 'right tokens'], rows))
    draw(targets[:args.rows], pictures, num_classes, args.out)


class Aggregator:
    """The tokens of a target image for each number of contexts.

    Args:
        args: the command line.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        config = load_config(args.config, args.cfg_options)
        self.features = load_features(config, args.checkpoint)
        self.patch_size = self.features.patch_size
        context_size = config.model.data_preprocessor.image_size
        target_size = args.target_size or context_size // 2 // self.patch_size * self.patch_size
        self.grid, self.part = context_size // self.patch_size, target_size // self.patch_size
        self.contexts = build_preprocessor(config)
        self.targets = build_preprocessor(config, image_size=target_size)
        self.dataset = evaluation_dataset(config, min_size=0, max_size=1e9)
        self.counts, self.batch_size = args.contexts, args.batch_size
        self.generator = torch.Generator().manual_seed(args.seed)
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

    def _labels(self, sample: object) -> torch.Tensor:
        if 'masks' not in sample:
            raise SystemExit(f'{sample.img_path}: found no masks, expected a dataset with '
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


def draw(targets: list[dict], pictures: dict[str, torch.Tensor], num_classes: int, out: Path) -> None:
    """Targets, their annotation, and the class of each token's cluster for each N.

    Args:
        targets: see `Aggregator`.
        pictures: for each N the classes (at least len(targets), g, g).
        num_classes: T.
        out: file.
    """
    colours = class_colours(num_classes)
    figure, axes = plt.subplots(len(targets), 2 + len(pictures), squeeze=False,
                                figsize=(1.6 * (2 + len(pictures)), 1.7 * len(targets)))
    for i, (row, target) in enumerate(zip(axes, targets)):
        row[0].imshow(target['image'].permute(1, 2, 0).numpy())
        maps = {'annotation': target['labels'], **{f'N = {name}': maps[i] for name, maps in pictures.items()}}
        for axis, (title, classes) in zip(row[1:], maps.items()):
            axis.imshow(classes.double().where(classes >= 0, torch.nan).numpy(), cmap=colours, vmin=-0.5,
                        vmax=num_classes - 0.5, interpolation='nearest')
            axis.set_title(title if i == 0 else '', fontsize=9)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
    figure.tight_layout()
    save_figure(figure, out)


if __name__ == '__main__':
    main()
