"""Images/s of our loader (decode, resize, crop, normalise) beside a PIL pipeline that does the same work, on one core.

usage: OMP_NUM_THREADS=1 python tools/benchmarks/loading.py FOLDER [--image-size 1024] [--crop-size 224] [--repeats 5]

Both decode every image of FOLDER, resize its longest side to the image size, pad to a square, normalise, and do the
same with the crops of one random grid (`GridRegions`; at most 20 crops, as in CLIPSelf). The PIL side is what public
CLIPSelf training does: PIL bicubic, pad, to_tensor, normalise, one crop after the other. Passes alternate; the median
pass counts. Prints one line of json.

       OMP_NUM_THREADS=1 python tools/benchmarks/loading.py FOLDER --shards

The same images decoded from one tar shard, as img2dataset writes it, and from files beside it.
"""
import argparse
import json

from rsc_mm.apis.benchmarks.loading import benchmark_loader, benchmark_shards
from rsc_mm.apis.command_line import run_tool


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('folder')
    parser.add_argument('--image-size', type=int, default=1024)
    parser.add_argument('--crop-size', type=int, default=224)
    parser.add_argument('--repeats', type=int, default=5)
    parser.add_argument('--shards', action='store_true', help='a shard against files in the place of PIL')
    args = parser.parse_args()
    print(json.dumps(benchmark_shards(args.folder, args.repeats) if args.shards else
                     benchmark_loader(args.folder, args.image_size, args.crop_size, args.repeats)))


if __name__ == '__main__':
    run_tool(main)
