"""Writes a generated world, Shapes or Creatures, in COCO format; some seconds for 3,000 images, 20 for Creatures.

    python tools/data/make_shapes.py --out data/shapes
    python tools/data/make_shapes.py --world creatures
"""
import argparse
import os
import time
from functools import partial
from pathlib import Path

from rsc_mm.apis.command_line import run_tool
from rsc_mm.datasets.creatures_scene import CREATURES
from rsc_mm.datasets.shapes_world import SHAPES_WORLD, SPLITS, write_shapes

WORLDS = dict(shapes=SHAPES_WORLD, creatures=CREATURES)


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--world', choices=list(WORLDS), default='shapes', help='default: %(default)s')
    parser.add_argument('--out', type=Path, help='folder to make (default: data/WORLD)')
    parser.add_argument('--seed', type=int, default=0, help='seed of the world (default: %(default)s)')
    for split in SPLITS:
        numbers = ', '.join(f'{world.splits[split]} in {name}' for name, world in WORLDS.items())
        parser.add_argument(f'--{split}', type=int, help=f'{split} images (default: {numbers})')
    parser.add_argument('--processes', type=int, default=os.cpu_count(), help='default: %(default)s')
    return parser.parse_args()


def main() -> None:
    """Writes the data set and says how long it took."""
    args, start = parse_args(), time.time()
    world, out = WORLDS[args.world], args.out or Path('data') / args.world
    given = {split: getattr(args, split) for split in SPLITS}
    counts = {split: world.splits[split] if number is None else number for split, number in given.items()}
    try:
        written = write_shapes(out, counts, args.seed, args.processes, partial(print, flush=True), world)
    except (OSError, ValueError) as error:
        raise SystemExit(str(error)) from None
    if written:
        print(f'wrote {sum(counts.values())} images to {out} in {time.time() - start:.0f} s')


if __name__ == '__main__':
    run_tool(main)
