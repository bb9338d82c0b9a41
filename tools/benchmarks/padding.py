"""The share of padding among the tokens of an epoch: squares, batches of like aspect, and token budgets.

  python tools/benchmarks/padding.py data/coco/annotations/instances_train2017.json --batch-size 8
"""
import argparse

from rsc_mm.apis.benchmarks.padding import measure
from rsc_mm.apis.command_line import run_tool
from rsc_mm.datasets.packed_annotations import load_packed
from rsc_mm.utils.tables import aligned_table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('ann_file', help='COCO-style json whose images give the shapes')
    parser.add_argument('--image-size', type=int, default=1024, help='longest side in pixels')
    parser.add_argument('--patch-size', type=int, default=16)
    parser.add_argument('--batch-size', type=int, default=8, help='images of a batch, of a token budget square ones')
    args = parser.parse_args()
    shapes = load_packed(args.ann_file, ()).shapes
    print(aligned_table(measure(shapes, args.image_size, args.patch_size, args.batch_size)))


if __name__ == '__main__':
    run_tool(main)
