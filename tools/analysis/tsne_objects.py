"""t-SNE of object features: how far a tower's dense features keep categories apart, for several checkpoints.

  python tools/analysis/tsne_objects.py --config configs/shapes/region_classification.py \\
      --checkpoints ORIGINAL CLIPSELF R_SC --names original CLIPSelf R-SC-CLIPSelf --out tsne.png

An object's feature is the mean of the dense features over its mask. Up to --instances instances of each category, drawn
at random, are projected to the plane by t-SNE (Qiu et al., ICLR 2025, app. A.2: 256 instances of 7 categories). The
categories are those of --categories, or the --count things with the most instances.

A picture of t-SNE can be read either way, so two numbers of the features themselves stand beside it: the share of
objects whose 10 nearest others, by cosine, mostly are of their category (leave-one-out), and the mean silhouette by
cosine distance (1 compact and apart, 0 overlapping, below 0 mixed).

Images and masks are those of the first configuration's test_dataloader (PanopticRegions); the paper takes COCO
train2017: --cfg-options test_dataloader.dataset.ann_file=annotations/panoptic_train2017.json
test_dataloader.dataset.img_prefix=train2017. Needs scikit-learn, which the extra [vis] installs.
"""
import argparse
from pathlib import Path

import torch
from common import batches, build_preprocessor, evaluation_dataset, format_table, load_config, parser
from features import compared_checkpoints, load_several
from mmengine.config import Config
from pictures import class_colours, plt, save_figure

from rsc_mm.datasets import RegionDataset
from rsc_mm.utils.regions import pool_masks
from rsc_mm.visualization import knn_accuracy, silhouette, tsne


def parse_args() -> argparse.Namespace:
    arguments = parser(__doc__)
    compared_checkpoints(arguments)
    arguments.add_argument('--categories', nargs='+', help='names of categories')
    arguments.add_argument('--count', type=int, default=7, help='number of categories without --categories; default 7')
    arguments.add_argument('--instances', type=int, default=256, help='most instances of a category; default 256')
    arguments.add_argument('--neighbours', type=int, default=10, help='of the nearest-neighbour share; default 10')
    arguments.add_argument('--batch-size', type=int, default=8, help='images at a time; default 8')
    arguments.add_argument('--seed', type=int, default=0, help='of the images and of t-SNE; default 0')
    arguments.add_argument('--out', type=Path, default=Path('work_dirs/analysis/tsne.png'), help='the picture')
    return arguments.parse_args()


@torch.no_grad()
def main() -> None:
    args = parse_args()
    config = load_config(args.config[0], args.cfg_options)
    dataset = evaluation_dataset(config)
    labels = choose_categories(dataset, args.categories, args.count)
    objects, owners = collect(config, dataset, labels, args)
    figure, axes = plt.subplots(1, len(objects), squeeze=False, figsize=(4 * len(objects), 4.4))
    colours, rows = class_colours(len(labels)), []
    for axis, (name, features) in zip(axes[0], objects.items()):
        share, score = knn_accuracy(features, owners, args.neighbours), silhouette(features, owners)
        rows.append([name, str(len(owners)), f'{share:.1f}', f'{score:.3f}'])
        x, y = tsne(features, args.seed).t()
        for i, label in enumerate(labels):
            category = dataset.metainfo['classes'][label]
            axis.scatter(x[owners == i], y[owners == i], s=6, color=colours(i), label=category)
        axis.set_title(f'{name}\n{args.neighbours}-NN {share:.1f} %, silhouette {score:.2f}', fontsize=9)
        axis.set(xticks=[], yticks=[])
    print(format_table(['', 'objects', f'{args.neighbours}-NN', 'silhouette'], rows))
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc='lower center', ncol=len(labels), fontsize=8)
    figure.tight_layout(rect=(0, 0.06, 1, 1))
    save_figure(figure, args.out)


def choose_categories(dataset: RegionDataset, names: list[str] | None, count: int) -> list[int]:
    """Labels of the categories: those named, or the things with the most annotated instances.

    Args:
        dataset: its annotation.
        names: categories, or None.
        count: how many, without names.

    Raises:
        SystemExit: a name is not the dataset's, or fewer than two categories would be left.
    """
    classes = list(dataset.metainfo['classes'])
    if unknown := [name for name in names or () if name not in classes]:
        raise SystemExit(f'--categories: found {unknown}, expected names of {classes}')
    number = torch.bincount(torch.from_numpy(dataset.table.labels), minlength=len(classes))
    number = number * torch.tensor(dataset.metainfo['is_thing'])
    labels = [classes.index(name) for name in names or ()] or number.argsort(descending=True)[:count].tolist()
    if len(labels) < 2:
        raise SystemExit(f'--categories, --count: found {len(labels)} categories, expected at least 2')
    return labels


def collect(config: Config, dataset: RegionDataset, labels: list[int],
            args: argparse.Namespace) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Features (M, D) of the same objects by each checkpoint's name, and their category (M,), a position in labels.

    Args:
        config: gives the preprocessor.
        dataset: images with masks.
        labels: the categories.
        args: the command line.
    """
    preprocessor, towers = build_preprocessor(config), load_several(args)
    room = dict.fromkeys(labels, args.instances)
    parts: dict[str, list[torch.Tensor]] = {name: [] for name in towers}
    owners: list[int] = []
    order = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(args.seed)).tolist()
    for batch in batches(dataset, order, args.batch_size):
        picked = [pick(sample.labels.tolist(), room) for sample in batch['data_samples']]
        owners += [labels.index(int(sample.labels[row])) for sample, rows in zip(batch['data_samples'], picked)
                   for row in rows]
        prepared = preprocessor(batch)
        if prepared['masks'] is None:
            raise SystemExit(f"{config.filename}: found no masks, expected regions=dict(type='PanopticRegions')")
        masks = [grid[rows] for grid, rows in zip(prepared['masks'], picked)]
        for name, features in towers.items():
            parts[name].append(pool_masks(features.parts(prepared['images'])[0], masks).cpu())
        if not any(room.values()):
            break
    return {name: torch.cat(features) for name, features in parts.items()}, torch.tensor(owners)


def pick(labels: list[int], room: dict[int, int]) -> list[int]:
    """The rows of an image whose category still has room; takes the room.

    Args:
        labels: categories of the image's objects.
        room: how many more of each category are wanted; changed.
    """
    rows = []
    for row, label in enumerate(labels):
        if room.get(label, 0):
            room[label] -= 1
            rows.append(row)
    return rows


if __name__ == '__main__':
    main()
