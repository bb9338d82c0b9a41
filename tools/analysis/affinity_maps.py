"""Point-affinity maps: which tokens of an image are like the one under a point, for several checkpoints side by side.

  python tools/analysis/affinity_maps.py data/shapes/val/00000.png --config configs/shapes/region_classification.py \\
      --checkpoints ORIGINAL CLIPSELF R_SC --names original CLIPSelf R-SC-CLIPSelf --points 40,30 90,100 --out maps.png

A row for each point, a column for each checkpoint after the image itself. Shown is the cosine cos(Z[q], Z[p]) of every
token p to the token q under the point, marked by a red dot (Qiu et al., ICLR 2025, fig. 5a and app. F.1). Cosines of
different towers lie in different ranges: each map's colours run from its lowest (dark) to its highest cosine other than
the query's own, and both stand below it; the picture says that colours cannot be compared between columns. Tokens that
belong to the query's object should be bright, others dark.

Points are x,y in pixels of the image file. --config is one file for all checkpoints or one for each; a RefinerTrainer
shows its Refiner, the whole image as its region. The image is read with model.data_preprocessor.image_size as its
longest side.
"""
import argparse
from pathlib import Path

import torch

from rsc_mm.apis import load_config
from rsc_mm.apis.command_line import compared_checkpoints, run_tool, tool_parser
from rsc_mm.apis.evaluation_data import build_preprocessor, whole_image
from rsc_mm.apis.features import load_several
from rsc_mm.utils.regions import cell_side, token_at, whole_cells
from rsc_mm.visualization import affinity_map, colour_range
from rsc_mm.visualization.figures import add_legend, panels, save_figure, show_map


def parse_args() -> argparse.Namespace:
    parser = tool_parser(__doc__)
    parser.add_argument('image', help='image file')
    compared_checkpoints(parser)
    parser.add_argument('--points', nargs='+', required=True, type=point, metavar='X,Y', help='in image pixels')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/analysis/affinity.png'), help='the picture')
    return parser.parse_args()


def point(text: str) -> tuple[float, float]:
    """Two numbers with a comma between.

    Args:
        text: such as '40,30'.

    Raises:
        argparse.ArgumentTypeError: it is something else.
    """
    try:
        x, y = map(float, text.split(','))
    except ValueError:
        raise argparse.ArgumentTypeError(f'found {text!r}, expected x,y in pixels, such as 40,30') from None
    return x, y


@torch.no_grad()
def main() -> None:
    args = parse_args()
    preprocessor = build_preprocessor(load_config(args.config[0], args.cfg_options), layout='rectangle')
    image, network, resized = whole_image(args.image, preprocessor)
    try:
        queries = [token_at(p, image.shape[1:], resized, preprocessor.patch_size) for p in args.points]
    except ValueError as error:
        raise SystemExit(f'--points, {args.image}: {error}') from None
    towers = load_several(args.config, args.checkpoints, args.names, args.cfg_options)
    maps = {name: features.parts(network)[0][0].cpu() for name, features in towers.items()}  # (D, h, w)
    affinities = {name: [affinity_map(dense, *query) for query in queries] for name, dense in maps.items()}
    cell = cell_side(image.shape[1:], resized, preprocessor.patch_size)
    whole = whole_cells(resized, preprocessor.patch_size)
    figure, axes = panels(len(queries), 1 + len(affinities), (2.6, 2.9))
    for i, (row, query) in enumerate(zip(axes, queries)):
        row[0].imshow(image.permute(1, 2, 0).numpy())
        for axis, (name, maps) in zip(row[1:], affinities.items()):
            lowest, highest = colour_range(maps[i], *query, whole)
            show_map(axis, maps[i], image.shape[1:], cell, cmap='viridis', vmin=lowest, vmax=highest)
            axis.set_xlabel(f'{lowest:.2f} to {highest:.2f}', fontsize=8)
            axis.set_title(name, fontsize=9)
        for axis in row:
            axis.plot(*args.points[i], 'o', color='red', markeredgecolor='white', markersize=6)
            axis.set(xticks=[], yticks=[])
    add_legend(figure, (), "Colours run from each map's lowest to its highest cosine, written below it: they cannot be "
               'compared between columns.')
    print(f'wrote {save_figure(figure, args.out)}')


if __name__ == '__main__':
    run_tool(main)
