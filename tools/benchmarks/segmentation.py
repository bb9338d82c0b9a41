"""Time of CAT-Seg's test pass by stage and its peak memory by the number of classes at a time.

  python tools/benchmarks/segmentation.py configs/catseg/catseg_vitb16_ade847.py        A-847, by chunk size
  python tools/benchmarks/segmentation.py configs/catseg/catseg_vitb16.py \\
      configs/catseg/catseg_vitb16_r_sc_clipself.py --classes 150 --chunk-sizes 64        two towers

Random weights, made-up class names and one synthetic image. Stages: tower (with the resizing of the views), space and
classes (the layers of aggregation), decoder, total (all, also cosines, the views' merging and the label map). The texts
are encoded once for each vocabulary, in an untimed pass. Columns: seconds (median of the rounds), share of the total,
ratio to the first case, and the peak of memory above the model's own, in MiB, of a process of its own. Chunk size 0
computes all classes at once; of more than 256 classes the network sees the 256 best of each view in any case, and the
label map all of them.

  python tools/benchmarks/segmentation.py configs/catseg/catseg_vitb16.py --classes 150 --chunk-sizes 0 \\
      --shape 384 384 --reference mmsegmentation/projects/CAT-Seg      mmsegmentation's own project in the same turns

With --reference all cases see the image in one view. The project is the first version of CAT-Seg: a ResNet-101 beside
the tower gives its guidance (its time is part of the stage 'tower'). Its CLIP, the same network, is our tower here.
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
    parser.add_argument('configs', nargs='+', help='configurations of CAT-Seg')
    parser.add_argument('--classes', nargs='+', type=int, default=[847], metavar='T', help='default: %(default)s')
    parser.add_argument('--chunk-sizes', nargs='+', type=int, default=[0, 64, 16], help='default: %(default)s')
    parser.add_argument('--at-once', type=int, metavar='N', help="views in a pass; default: the configuration's or 8")
    parser.add_argument('--shape', nargs=2, type=int, default=[640, 640], metavar=('H', 'W'), help='of the image')
    parser.add_argument('--reference', type=Path, metavar='FOLDER',
                        help="also mmsegmentation's own project: its folder projects/CAT-Seg")
    parser.add_argument('--rounds', type=int, default=3, help='timed passes, after one untimed; 0: memory alone')
    parser.add_argument('--cpu-time', action='store_true', help='processor time of this process in the place of the '
                        "clock's: for a loaded machine, with OMP_NUM_THREADS=1 and no GPU")
    parser.add_argument('--json', type=Path, help='also write the rows to this file')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if min(*args.classes, *args.shape) < 1 or min(args.rounds, *args.chunk_sizes) < 0:
        raise SystemExit('--classes and --shape: expected numbers of at least 1; --rounds and --chunk-sizes: at least '
                         '0')
    for library in ('mmcv', 'mmseg'):  # here, so that --help needs neither
        require(library)
    from rsc_mm.apis.benchmarks.segmentation import clock, measure, measure_memory
    quiet_log()
    cases = itertools.product(args.configs, args.classes, args.chunk_sizes)
    shape, others = tuple(args.shape), []
    choices = [(*case, shape, args.at_once, bool(args.reference)) for case in cases]
    if args.reference:
        from rsc_mm.apis.benchmarks.catseg_reference import ReferenceCase
        others = [ReferenceCase(args.reference, args.configs[0], classes, shape) for classes in args.classes]
    meter = time.process_time if args.cpu_time else clock
    rows = measure(choices, args.rounds, meter, others) if args.rounds else measure_memory(choices)
    print(aligned_table(rows))
    if args.json:
        write_json(args.json, rows)


if __name__ == '__main__':
    run_tool(main)
