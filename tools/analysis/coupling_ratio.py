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
from pathlib import Path

from rsc_mm.apis.analysis.coupling import measure_coupling
from rsc_mm.apis.command_line import positive, run_tool, tool_parser
from rsc_mm.utils.tables import write_json


def parse_args() -> argparse.Namespace:
    parser = tool_parser(__doc__)
    parser.add_argument('config', help='configuration of a tower or of a Refiner')
    parser.add_argument('checkpoint', help="weights: a file, or 'open_clip::MODEL/TAG'")
    parser.add_argument('--pairs', type=positive, default=200, help='pairs of images; default 200')
    parser.add_argument('--batch-size', type=positive, default=10, help='pairs at a time; default 10')
    parser.add_argument('--seed', type=int, default=0, help='of the drawn pairs; default 0')
    parser.add_argument('--out', type=Path, metavar='JSON', help='where the figures go as well')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    figures = measure_coupling(args.config, args.checkpoint, args.pairs, args.seed, args.batch_size, args.cfg_options)
    print('\n'.join(f'{name:30s} {value:.4f}' for name, value in figures.items()))
    if args.out:
        write_json(args.out, figures)


if __name__ == '__main__':
    run_tool(main)
