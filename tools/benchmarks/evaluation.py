"""Time of zero-shot region classification by stage, on a synthetic image and random weights.

  python tools/benchmarks/evaluation.py configs/evaluation/region_classification_vitb16.py
  python tools/benchmarks/evaluation.py CONFIG --reference CLIPSelf/src/open_clip        the public modules too

Stages of an image: data (resizing and cropping of the decoded image), features (of boxes, masks and crops), ranks (of
the true classes among COCO panoptic's 133), total. The public evaluation runs the tower over the image for the boxes
and again for the masks. The cases run in turns; ratio = to the first case's seconds.
"""
import argparse
import time
from pathlib import Path

from rsc_mm.apis.benchmarks.distillation import DTYPES, Batch
from rsc_mm.apis.benchmarks.evaluation import Case, ReferenceCase, clock, measure
from rsc_mm.apis.command_line import run_tool
from rsc_mm.utils.profiling import quiet_log
from rsc_mm.utils.tables import aligned_table, write_json


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='configuration of an evaluation, of configs/evaluation')
    parser.add_argument('--size', type=int, help="longest side in pixels; default: the configuration's")
    parser.add_argument('--dtypes', nargs='+', choices=sorted(DTYPES), default=['float32'])
    parser.add_argument('--shape', nargs=2, type=int, default=[480, 640], metavar=('H', 'W'), help='of the image')
    parser.add_argument('--regions', type=int, default=10, help='of the image (default: %(default)s)')
    parser.add_argument('--reference', type=Path, metavar='FOLDER',
                        help="also the public CLIPSelf code's modules: the folder of its package eva_clip")
    parser.add_argument('--rounds', type=int, default=3, help='timed passes of every case, after one untimed')
    parser.add_argument('--cpu-time', action='store_true', help='processor time of this process in the place of the '
                        "clock's: for a loaded machine, with OMP_NUM_THREADS=1 and no GPU")
    parser.add_argument('--json', type=Path, help='also write the rows to this file')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if min(args.regions, args.rounds, *args.shape) < 1:
        raise SystemExit('--regions, --rounds and --shape: expected numbers of at least 1')
    quiet_log()
    batch = Batch(tuple(args.shape), 1, args.regions)
    cases = [Case(args.config, args.size, dtype, batch) for dtype in args.dtypes]
    if args.reference:
        cases += [ReferenceCase(args.reference, args.config, args.size, dtype, batch) for dtype in args.dtypes]
    rows = measure(cases, args.rounds, time.process_time if args.cpu_time else clock)
    print(aligned_table(rows))
    if args.json:
        write_json(args.json, rows)


if __name__ == '__main__':
    run_tool(main)
