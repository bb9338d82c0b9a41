"""K-means maps: which tokens of an image a tower takes for one thing, for several checkpoints side by side.

  python tools/analysis/kmeans_maps.py data/shapes/val/00000.png data/shapes/val/00001.png --clusters 6 \\
      --config configs/shapes/region_classification.py --checkpoints ORIGINAL R_SC --names original R-SC --out maps.png

A row for each image, a column for each checkpoint after the image itself. The L2-normalised tokens of each image (with
--together those of all images at once, so that a colour means the same everywhere) are clustered by K-means, k-means++
started and seeded (CLIPSelf, Wu et al., ICLR 2024, fig. 1 and 4). Clusters are numbered by their size, so that colours
cannot be compared between columns; the picture says so. Tokens that are partly padding form no clusters, they take the
nearest one. Clusters should follow the outlines of objects; a tower whose tokens describe the whole image gives diffuse
ones.

--config is one file for all checkpoints or one for each; a RefinerTrainer shows its Refiner, the whole image as its
region. The image is read with model.data_preprocessor.image_size as its longest side.
"""
import argparse
from pathlib import Path

import torch

from rsc_mm.apis import load_config
from rsc_mm.apis.command_line import compared_checkpoints, positive, run_tool, tool_parser
from rsc_mm.apis.evaluation_data import build_preprocessor, whole_image
from rsc_mm.apis.features import load_several
from rsc_mm.utils.regions import cell_side, whole_cells
from rsc_mm.visualization import cluster_maps
from rsc_mm.visualization.figures import add_legend, class_colours, panels, save_figure, show_map


def parse_args() -> argparse.Namespace:
    parser = tool_parser(__doc__)
    parser.add_argument('images', nargs='+', help='image files')
    compared_checkpoints(parser)
    parser.add_argument('--clusters', type=positive, default=6, help='number of clusters; default 6')
    parser.add_argument('--together', action='store_true', help='cluster the tokens of all images at once')
    parser.add_argument('--seed', type=int, default=0, help='of K-means; default 0')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/analysis/kmeans.png'), help='the picture')
    return parser.parse_args()


@torch.no_grad()
def main() -> None:
    args = parse_args()
    preprocessor = build_preprocessor(load_config(args.config[0], args.cfg_options), layout='rectangle')
    pictures = [whole_image(path, preprocessor) for path in args.images]
    towers = load_several(args.config, args.checkpoints, args.names, args.cfg_options)
    columns, whole = {}, [whole_cells(resized, preprocessor.patch_size) for _, _, resized in pictures]
    for name, features in towers.items():
        maps = [features.parts(network)[0][0].cpu() for _, network, _ in pictures]
        columns[name] = cluster_maps(maps, args.clusters, args.seed, args.together, whole)
    figure, axes = panels(len(pictures), 1 + len(columns), (2.6, 2.8))
    for i, (row, (image, _, resized)) in enumerate(zip(axes, pictures)):
        row[0].imshow(image.permute(1, 2, 0).numpy())
        cell = cell_side(image.shape[1:], resized, preprocessor.patch_size)
        for axis, (name, clusters) in zip(row[1:], columns.items()):
            show_map(axis, clusters[i], image.shape[1:], cell, cmap=class_colours(args.clusters), vmin=-0.5,
                     vmax=args.clusters - 0.5)
            axis.set_title(name if i == 0 else '', fontsize=9)
        for axis in row:
            axis.set(xticks=[], yticks=[])
    scope = 'rows of one column' if args.together else 'one map'
    add_legend(figure, (), f'A colour means the same within {scope}: it cannot be compared between columns'
               f'{"" if args.together else " or rows"}.')
    print(f'wrote {save_figure(figure, args.out)}')


if __name__ == '__main__':
    run_tool(main)
