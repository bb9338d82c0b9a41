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
from collections.abc import Sequence
from pathlib import Path

import torch
from tqdm import tqdm

from rsc_mm.apis import load_config
from rsc_mm.apis.analysis.contexts import ContextAggregator, segment
from rsc_mm.apis.command_line import positive, run_tool, tool_parser
from rsc_mm.utils.tables import markdown_table
from rsc_mm.visualization.figures import add_legend, class_colours, panels, save_figure


def parse_args() -> argparse.Namespace:
    parser = tool_parser(__doc__)
    parser.add_argument('config', help='configuration of a tower or of a Refiner')
    parser.add_argument('checkpoint', help="weights: a file, or 'open_clip::MODEL/TAG'")
    parser.add_argument('--contexts', type=positive, nargs='+', default=[1, 2, 4, 8, 16, 32], metavar='N')
    parser.add_argument('--images', type=positive, default=100, help='number of target images; default 100')
    parser.add_argument('--target-size', type=positive, help='side of the targets; default: half the contexts')
    parser.add_argument('--batch-size', type=positive, default=16, help='contexts at a time; default 16')
    parser.add_argument('--seed', type=int, default=0, help='of images and places; default 0')
    parser.add_argument('--rows', type=positive, default=4, help='targets in the picture; default 4')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/analysis/contexts.png'), help='the picture')
    return parser.parse_args()


@torch.no_grad()
def main() -> None:
    args = parse_args()
    config = load_config(args.config, args.cfg_options)
    aggregator = ContextAggregator(config, args.checkpoint, args.contexts, args.target_size, args.batch_size, args.seed)
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
    print(markdown_table(['N', 'mIoU', 'right tokens'], rows))
    columns = {'annotation': torch.stack([target['labels'] for target in targets]),
               **{f'N = {name}': maps for name, maps in pictures.items()}}
    shown = {title: maps[:args.rows] for title, maps in columns.items()}
    draw([target['image'] for target in targets[:args.rows]], shown, aggregator.dataset.metainfo['classes'], args.out)


def draw(images: list[torch.Tensor], columns: dict[str, torch.Tensor], names: Sequence[str], out: Path) -> None:
    """Targets, their annotation and the class of each token's cluster for each N.

    The classes that the annotation shows have colours, which the legend names; the many others are dark grey.

    Args:
        images: R targets (3, H, H).
        columns: for each title the classes (R, g, g), -1 for none; the annotation first.
        names: of all T classes.
        out: file.
    """
    present = [label for label in next(iter(columns.values())).unique().tolist() if label >= 0]
    number = torch.full((len(names), ), len(present) + 1.).index_copy(0, torch.tensor(present, dtype=torch.long),
                                                                      torch.arange(float(len(present))))
    colours = class_colours(len(present))
    figure, axes = panels(len(images), 1 + len(columns), (1.6, 1.7))
    for i, (row, image) in enumerate(zip(axes, images)):
        row[0].imshow(image.permute(1, 2, 0).numpy())
        for axis, (title, maps) in zip(row[1:], columns.items()):
            shown = number[maps[i]].where(maps[i] >= 0, torch.nan)  # (g, g)
            axis.imshow(shown.numpy(), cmap=colours, vmin=-0.5, vmax=len(present) - 0.5, interpolation='nearest')
            axis.set_title(title if i == 0 else '', fontsize=9)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
    add_legend(figure, [names[label] for label in present], 'Light grey: no class. Colours mean the same everywhere in '
               'the picture.', other='any other class')
    print(f'wrote {save_figure(figure, out)}')


if __name__ == '__main__':
    run_tool(main)
