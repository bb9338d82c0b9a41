"""Time, memory and arithmetic of a distillation step, on synthetic images and random weights.

  python tools/benchmarks/distillation.py configs/clipself/clipself_vitb16_coco_patches.py --sizes 320 640 \\
      --dtypes float32 bfloat16
  python tools/benchmarks/distillation.py CONFIG --layouts square rectangle --sizes 1024   4:3 images, two layouts
  python tools/benchmarks/distillation.py CONFIG_A CONFIG_B --sizes 640                    two methods
  python tools/benchmarks/distillation.py CONFIG --cached                                  targets read from disk too
  python tools/benchmarks/distillation.py CONFIG --reference CLIPSelf/src/open_clip        the public modules too
  python tools/benchmarks/distillation.py CONFIG --scaling --ranks 1 2                     how cost grows

Of detectors tools/benchmarks/detection.py times the test pass, on the sizes of real images too.

Every case is a combination of configuration, dtype, layout and size. All cases run in turns, so that a change of the
machine's load meets all of them; the table gives the median of the rounds, and the ratios of each step and memory to
the first case's. Columns: data = resizing and cropping of the decoded batch; step = forward, backward and update;
memory = peak of two steps in a process of their own, without what the libraries take (on a GPU: of the allocator);
hours = of one such device for the configuration's epochs over COCO's 118,287 images, at this throughput; MFU = FLOPs of
the step, counted by torch, over what a large matrix product of that dtype reaches on this machine.
"""
import argparse
import itertools
from pathlib import Path

from rsc_mm.apis import load_config
from rsc_mm.apis.benchmarks.distillation import DTYPES, Batch, Choice, measure, measure_ranks, scaled
from rsc_mm.apis.benchmarks.reference import ReferenceCase
from rsc_mm.apis.command_line import run_tool
from rsc_mm.utils.profiling import quiet_log
from rsc_mm.utils.tables import aligned_table, write_json


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('configs', nargs='+', help='distillation configurations')
    parser.add_argument('--sizes', nargs='+', type=int, help="longest side in pixels; default: the configuration's")
    parser.add_argument('--dtypes', nargs='+', choices=sorted(DTYPES), default=['bfloat16'])
    parser.add_argument('--layouts', nargs='+', choices=['square', 'rectangle'], default=['square'])
    parser.add_argument('--shape', nargs=2, type=int, default=[480, 640], metavar=('H', 'W'), help='of the images')
    parser.add_argument('--batch-size', type=int, default=1)
    parser.add_argument('--crops', type=int, default=6, help='regions of each image')
    parser.add_argument('--cached', action='store_true', help='also every case with cached targets, all known')
    parser.add_argument('--reference', type=Path, metavar='FOLDER',
                        help="also the public CLIPSelf code's modules, float32: the folder of its package eva_clip")
    parser.add_argument('--scaling', action='store_true',
                        help='the first case with more images, more regions and longer sides')
    parser.add_argument('--ranks', nargs='+', type=int, help='the first case in so many processes')
    parser.add_argument('--rounds', type=int, default=5, help='timed steps of every case, after one untimed')
    parser.add_argument('--json', type=Path, help='also write the rows to this file')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if min(args.batch_size, args.crops, args.rounds, *args.shape) < 1:
        raise SystemExit('--batch-size, --crops, --rounds and --shape: expected numbers of at least 1')
    quiet_log()
    batch = Batch(tuple(args.shape), args.batch_size, args.crops)
    choices = [Choice(*case, batch, cached) for *case, cached in itertools.product(
        args.configs, args.dtypes, args.layouts, args.sizes or [None], [False, True] if args.cached else [False])]
    model = load_config(choices[0].config).model
    first = choices[0]._replace(size=choices[0].size or model.data_preprocessor.image_size)
    if args.scaling:
        choices = scaled(first, model.data_preprocessor.patch_size)
    others = [ReferenceCase(args.reference, model, first._replace(dtype='float32'))] if args.reference else []
    rows = measure(choices, args.rounds, tuple(others))
    print(aligned_table(rows))
    if args.ranks:
        ranks = measure_ranks(first, tuple(args.ranks), args.rounds)
        print(aligned_table(ranks))
        rows = [*rows, *ranks]
    if args.json:
        write_json(args.json, rows)


if __name__ == '__main__':
    run_tool(main)
