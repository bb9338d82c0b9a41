"""Time and arithmetic of a detector's test pass by stage, on synthetic images and random weights and embeddings.

  python tools/benchmarks/detection.py configs/fvit/fvit_vitb16_ovcoco.py                        one image of 480 x 640
  python tools/benchmarks/detection.py configs/fvit/fvit_vitb16_ovcoco.py --dtypes float32 bfloat16 \\
      --ann-file data/coco/annotations/instances_val2017.json                                   COCO's real sizes

Every case is a combination of configuration, dtype, layout and size: 'square' pads images to the longest side, as the
reference, 'rectangle' to whole pairs of patches only (`model.data_preprocessor.pad_size_divisor`). Images are tested
one by one, and all cases take an image in turns, so that a change of the machine's load meets all of them.

The table has a line for each stage: tower, neck, rpn_head (with its NMS), roi_head (box head, pooling of the dense
map, fusion, NMS, masks if there are any), total (also padding, and the projection of the dense map). Columns: seconds
and GFLOPs of an image (median of the rounds, mean over the images; FLOPs as torch counts them, NMS and RoIAlign not
among them); ratio = seconds over those of the first case; share = of the total. With random weights as many boxes as
the configuration allows reach the box head of F-ViT at 640 px; how many of their classes pass its threshold, and so
the time of its NMS, is not that of a trained detector.
"""
import argparse
import itertools
import time
from pathlib import Path

from rsc_mm.apis.command_line import run_tool
from rsc_mm.utils.dependencies import require
from rsc_mm.utils.profiling import quiet_log
from rsc_mm.utils.tables import aligned_table, write_json


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('configs', nargs='+', help='configurations of F-ViT')
    parser.add_argument('--sizes', nargs='+', type=int,
                        help="longest side in pixels; default: that of the configuration's test pipeline")
    parser.add_argument('--dtypes', nargs='+', choices=['float32', 'bfloat16'], default=['float32'],
                        help='bfloat16 by autocast; default: float32, as tools/test.py')
    parser.add_argument('--layouts', nargs='+', choices=['square', 'rectangle'], default=['square', 'rectangle'])
    images = parser.add_mutually_exclusive_group()
    images.add_argument('--shape', nargs=2, type=int, default=[480, 640], metavar=('H', 'W'), help='of the one image')
    images.add_argument('--ann-file', type=Path, help='COCO-style json whose images give the sizes')
    parser.add_argument('--images', type=int, default=8,
                        help='so many sizes of --ann-file, at equal steps by aspect ratio (default: %(default)s)')
    parser.add_argument('--classes', type=int, metavar='T',
                        help="so many classes in the place of the configuration's, whose file may not be at hand")
    parser.add_argument('--rounds', type=int, default=5, help='timed passes of every image, after one untimed')
    parser.add_argument('--cpu-time', action='store_true', help='processor time of this process in the place of the '
                        "clock's: for a loaded machine, with OMP_NUM_THREADS=1 and no GPU")
    parser.add_argument('--json', type=Path, help='also write the rows to this file')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if min(args.rounds, args.images, args.classes or 1, *args.shape) < 1:
        raise SystemExit('--rounds, --images, --classes and --shape: expected numbers of at least 1')
    for library in ('mmcv', 'mmdet'):  # here, so that --help needs neither
        require(library)
    from rsc_mm.apis.benchmarks.detection import Case, clock, measure, real_shapes
    quiet_log()
    shapes = real_shapes(args.ann_file, args.images) if args.ann_file else [tuple(args.shape)]
    cases = [Case(*choice, shapes, args.classes)
             for choice in itertools.product(args.configs, args.dtypes, args.layouts, args.sizes or [None])]
    rows = measure(cases, args.rounds, time.process_time if args.cpu_time else clock)
    print('images (height, width):', *shapes)
    print(aligned_table(rows))
    if args.json:
        write_json(args.json, rows)


if __name__ == '__main__':
    run_tool(main)
