"""Time and GFLOPs of a tower's dense map by readout, random weights, one synthetic image.

  python tools/benchmarks/readouts.py configs/clipself/clipself_vitb16_coco_patches.py --size 1024

The readouts run in turns, so that a change of the machine's load meets all of them. Columns: GFLOPs of a forward pass
(a multiplication and an addition are two), seconds (median of the rounds), ratio of the seconds to the first readout's.
"""
import argparse
import time
from pathlib import Path

from rsc_mm.apis import load_config
from rsc_mm.apis.benchmarks.readouts import measure_readouts
from rsc_mm.apis.command_line import positive, run_tool
from rsc_mm.engine.memory import settle_memory
from rsc_mm.utils.profiling import clock, quiet_log
from rsc_mm.utils.tables import aligned_table, write_json


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='configuration whose model.backbone is the tower')
    parser.add_argument('--readouts', nargs='+', default=['value', 'qq', 'csa', 'hsg'], metavar='NAME',
                        help='default: value qq csa hsg')
    parser.add_argument('--size', type=positive, default=1024, help='side of the image in pixels; default 1024')
    parser.add_argument('--rounds', type=positive, default=5, help='timed passes, after one untimed; default 5')
    parser.add_argument('--cpu-time', action='store_true', help='processor time of this process in the place of the '
                        "clock's: for a loaded machine, with OMP_NUM_THREADS=1 and no GPU")
    parser.add_argument('--json', type=Path, help='also write the rows to this file')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    quiet_log()
    settle_memory()
    backbone = load_config(args.config).model.backbone
    rows = measure_readouts(backbone, args.readouts, args.size, args.rounds,
                            time.process_time if args.cpu_time else clock)
    print(aligned_table(rows))
    if args.json:
        write_json(args.json, rows)


if __name__ == '__main__':
    run_tool(main)
