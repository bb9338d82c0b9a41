"""Seconds of an image's class-wise NMS: mmdet's own function beside ours, whose detections are the same.

  OMP_NUM_THREADS=1 python tools/benchmarks/nms.py                                       as OV-LVIS has it
  python tools/benchmarks/nms.py --classes 65 --score-thr 0.01 --iou 0.4 --max-num 100   as OV-COCO has it

Synthetic boxes around 60 objects and softmax scores. pairs = of a box and a class above the threshold: from 10,000 on
mmdet makes a call for each class. ratio = to mmdet's seconds; equal = whether boxes, scores and labels agree bit by
bit.
"""
import argparse
import time
from pathlib import Path

from rsc_mm.apis.command_line import run_tool
from rsc_mm.utils.dependencies import require
from rsc_mm.utils.tables import aligned_table, write_json


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--boxes', type=int, default=1000, help='of an image (default: %(default)s)')
    parser.add_argument('--classes', type=int, default=1203, help='default: %(default)s')
    parser.add_argument('--score-thr', type=float, default=1e-4, help='default: %(default)s')
    parser.add_argument('--iou', type=float, default=0.5, help='default: %(default)s')
    parser.add_argument('--max-num', type=int, default=300, help='most detections (default: %(default)s)')
    parser.add_argument('--rounds', type=int, default=1, help='calls of each, of which the best counts')
    parser.add_argument('--cpu-time', action='store_true', help='processor time of this process in the place of the '
                        "clock's: for a loaded machine, with OMP_NUM_THREADS=1 and no GPU")
    parser.add_argument('--json', type=Path, help='also write the rows to this file')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if min(args.boxes, args.classes, args.max_num, args.rounds) < 1:
        raise SystemExit('--boxes, --classes, --max-num and --rounds: expected numbers of at least 1')
    for library in ('mmcv', 'mmdet'):  # here, so that --help needs neither
        require(library)
    from rsc_mm.apis.benchmarks.nms import clock, measure
    rows = measure(args.boxes, args.classes, args.score_thr, args.iou, args.max_num, args.rounds,
                   time.process_time if args.cpu_time else clock)
    print(aligned_table(rows))
    if args.json:
        write_json(args.json, rows)


if __name__ == '__main__':
    run_tool(main)
