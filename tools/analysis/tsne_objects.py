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

from rsc_mm.apis import load_config
from rsc_mm.apis.analysis.objects import choose_categories, collect_objects
from rsc_mm.apis.command_line import compared_checkpoints, positive, run_tool, tool_parser
from rsc_mm.apis.evaluation_data import evaluation_dataset
from rsc_mm.apis.features import load_several
from rsc_mm.utils.tables import markdown_table
from rsc_mm.visualization import knn_accuracy, silhouette, tsne
from rsc_mm.visualization.figures import class_colours, panels, save_figure


def parse_args() -> argparse.Namespace:
    parser = tool_parser(__doc__)
    compared_checkpoints(parser)
    parser.add_argument('--categories', nargs='+', help='names of categories')
    parser.add_argument('--count', type=positive, default=7, help='categories without --categories; default 7')
    parser.add_argument('--instances', type=positive, default=256, help='most instances of a category; default 256')
    parser.add_argument('--neighbours', type=positive, default=10, help='of the nearest-neighbour share; default 10')
    parser.add_argument('--batch-size', type=positive, default=8, help='images at a time; default 8')
    parser.add_argument('--seed', type=int, default=0, help='of the images and of t-SNE; default 0')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/analysis/tsne.png'), help='the picture')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    config = load_config(args.config[0], args.cfg_options)
    dataset = evaluation_dataset(config)
    labels = choose_categories(dataset, args.categories, args.count)
    towers = load_several(args.config, args.checkpoints, args.names, args.cfg_options)
    objects, owners = collect_objects(config, dataset, labels, towers, args.instances, args.batch_size, args.seed)
    figure, axes = panels(1, len(objects), (4, 4.4))
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
    print(markdown_table(['', 'objects', f'{args.neighbours}-NN', 'silhouette'], rows))
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc='lower center', ncol=len(labels), fontsize=8)
    figure.tight_layout(rect=(0, 0.06, 1, 1))
    print(f'wrote {save_figure(figure, args.out)}')


if __name__ == '__main__':
    run_tool(main)
