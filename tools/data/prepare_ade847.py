"""A-847 from ADE20K's full release: images and 16-bit label maps of 847 classes.

  python tools/data/prepare_ade847.py ADE20K_2021_17_01/images/ADE/validation data/ade_full/validation

IN holds *.jpg, *_seg.png and *.json, also in folders below. Names of objects come from the json files, so that no
index has to be unpickled. As in the public preparation, images and maps are resized to a short side of at most 512 px
and images saved by PIL's default quality. Writes OUT/images/NAME.jpg and OUT/labels/NAME.png (0..846, 65535 for
pixels of other names).
"""
import argparse
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from rsc_mm.apis.command_line import run_tool
from rsc_mm.datasets.label_maps import IGNORE, write_label_map
from rsc_mm.datasets.label_sources import ade_labels, ade_sized, read_ade_objects, read_pixels, run_all
from rsc_mm.models.text import read_class_names


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('input', metavar='IN', type=Path, help='folder of the official release')
    parser.add_argument('out', metavar='OUT', type=Path, help='folder to write')
    parser.add_argument('--processes', type=int, default=4, help='number of processes (default: %(default)s)')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    paths = sorted(args.input.rglob('*.jpg'))
    if not paths:
        raise SystemExit(f'IN {args.input}: found no *.jpg there or below, expected images/ADE/validation of '
                         'ADE20K_2021_17_01')
    found = run_all(partial(convert, args.out), paths, args.processes)
    labels, shares, unnamed = zip(*found)
    print(f'wrote {len(paths)} images and maps to {args.out}: {len(set().union(*labels))} of 847 classes, '
          f'{100 * np.mean(shares):.1f} % of an image is of other names')
    if any(unnamed):
        print(f'WARNING: {sum(map(bool, unnamed))} images have objects that their json does not name (numbers '
              f'{sorted(set().union(*unnamed))[:8]}); their pixels are 65535')


def convert(out: Path, path: Path) -> tuple[set[int], float, set[int]]:
    """Write image and map.

    Args:
        out: folder to write.
        path: official image.

    Returns:
        Its labels, the share of other pixels, and numbers of objects without a name.
    """
    label_of = {name: label for label, name in enumerate(read_class_names('ade847'))}
    colours = read_pixels(path.with_name(f'{path.stem}_seg.png'))
    labels, unnamed = ade_labels(colours, read_ade_objects(path.with_suffix('.json')), label_of)
    image, labels = ade_sized(read_pixels(path), labels)
    write_label_map(out / 'labels' / f'{path.stem}.png', labels, 847)
    (out / 'images').mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(out / 'images' / path.name)
    return set(np.unique(labels).tolist()) - {IGNORE}, float((labels == IGNORE).mean()), unnamed


if __name__ == '__main__':
    run_tool(main)
