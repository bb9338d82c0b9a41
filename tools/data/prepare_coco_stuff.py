"""COCO-Stuff's label maps for training and evaluation: 171 classes, and 80 things with background (COCO-Object).

  python tools/data/prepare_coco_stuff.py data/coco/stuffthingmaps/val2017 data/coco/stuff_labels/val2017

IN holds the official pngs (stuffthingmaps_trainval2017.zip). Each gives two files in OUT: NAME_labelTrainIds.png with
0..170 and 255 for unlabelled pixels, as mmseg's COCOStuffDataset reads it, and NAME_object.png with 0 for what is no
thing and 1..80.
"""
import argparse
from functools import partial
from pathlib import Path

from rsc_mm.apis.command_line import run_tool
from rsc_mm.datasets.label_maps import read_label_map, write_label_map
from rsc_mm.datasets.label_sources import coco_stuff_labels, run_all


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('input', metavar='IN', type=Path, help='folder of the official pngs')
    parser.add_argument('out', metavar='OUT', type=Path, help='folder to write')
    parser.add_argument('--processes', type=int, default=4, help='number of processes (default: %(default)s)')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    paths = sorted(args.input.glob('*.png'))
    if not paths:
        raise SystemExit(f'IN {args.input}: found no *.png, expected the files of stuffthingmaps_trainval2017.zip')
    run_all(partial(convert, args.out), paths, args.processes)
    print(f'wrote {len(paths)} maps of 171 classes and {len(paths)} of 81 to {args.out}')


def convert(out: Path, path: Path) -> None:
    """Write both maps of one png.

    Args:
        out: folder to write.
        path: official png.
    """
    stuff, things = coco_stuff_labels(read_label_map(path), str(path))
    write_label_map(out / f'{path.stem}_labelTrainIds.png', stuff, 171)
    write_label_map(out / f'{path.stem}_object.png', things, 81)


if __name__ == '__main__':
    run_tool(main)
