"""Time and memory of reading a large proposal file: the first start, which packs it, and a later one, which maps it.

  python tools/benchmarks/annotations.py                                118,000 images x 100 proposals (1.7 GB of json)
  python tools/benchmarks/annotations.py --file data/coco/proposals/rpn_train2017.json

Each start is a process of its own. Columns: seconds by the clock; peak and private = memory of the process above what
it had before the file was read, at its peak and after all boxes were looked at. Private memory is what each of several
processes of a machine costs; the mapped pages are shared.
"""
import argparse
import tempfile
from pathlib import Path

from rsc_mm.apis.benchmarks.annotations import generate, measure
from rsc_mm.apis.command_line import run_tool
from rsc_mm.utils.tables import aligned_table


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--file', type=Path, help='COCO-style json with boxes; default: a generated one')
    parser.add_argument('--images', type=int, default=118000, help='of the generated file')
    parser.add_argument('--proposals', type=int, default=100, help='of each of its images')
    parser.add_argument('--out', type=Path, help='folder of the generated file; default: a temporary one')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    with tempfile.TemporaryDirectory(dir=args.out) as folder:
        path = args.file or generate(Path(folder, 'proposals.json'), args.images, args.proposals)
        print(aligned_table(measure(path, folder)))


if __name__ == '__main__':
    run_tool(main)
