"""Pascal Context's label maps: 459 classes in 16 bits, and 59 with background.

  python tools/data/prepare_pascal_context.py data/VOCdevkit/VOC2010

ROOT is VOC 2010 with the official annotation (trainval.tar.gz of Pascal Context) unpacked to ROOT/trainval/*.mat. The
split is VOC 2010's own, ImageSets/Main/val.txt with 5,105 images, or --list FILE with a name on each line. Writes

  context459/NAME.png                       0..458, 65535 for unlabelled pixels
  SegmentationClassContext/NAME.png         1..59, 0 for background, as mmseg's PascalContextDataset reads it
  ImageSets/SegmentationContext/SPLIT.txt   the names
"""
import argparse
from functools import partial
from pathlib import Path

from rsc_mm.apis.command_line import run_tool
from rsc_mm.datasets.label_maps import write_label_map
from rsc_mm.datasets.label_sources import pascal_context_labels, run_all
from rsc_mm.models.text import read_class_names


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('root', metavar='ROOT', type=Path, help='folder VOC2010')
    parser.add_argument('--split', default='val', help='name of the split (default: %(default)s)')
    parser.add_argument('--list', type=Path, help='names of the images (default: ROOT/ImageSets/Main/SPLIT.txt)')
    parser.add_argument('--processes', type=int, default=4, help='number of processes (default: %(default)s)')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    listing = args.list or args.root / 'ImageSets' / 'Main' / f'{args.split}.txt'
    if not listing.is_file():
        raise SystemExit(f'list {listing}: no such file; expected VOC 2010 in ROOT, or --list FILE')
    names = [line.split()[0] for line in listing.read_text().splitlines() if line.strip()]
    missing = [name for name in names if not (args.root / 'trainval' / f'{name}.mat').is_file()]
    if missing or not names:
        raise SystemExit(f'{args.root}/trainval: found no .mat for {len(missing)} of {len(names)} names of {listing}, '
                         f"such as {missing[:3]}; expected Pascal Context's trainval.tar.gz unpacked there")
    run_all(partial(convert, args.root), names, args.processes)
    split = args.root / 'ImageSets' / 'SegmentationContext' / f'{args.split}.txt'
    split.parent.mkdir(parents=True, exist_ok=True)
    split.write_text('\n'.join(names) + '\n')
    print(f'wrote {len(names)} maps of 459 classes and {len(names)} of 59 below {args.root}, and {split}')


def convert(root: Path, name: str) -> None:
    """Write both maps of one image.

    Args:
        root: folder VOC2010.
        name: of the image.
    """
    try:
        from scipy.io import loadmat
    except ImportError as error:
        raise SystemExit("reading .mat files needs scipy, which is not installed. How: pip install -e '.[vis]'") \
            from error
    numbers = loadmat(root / 'trainval' / f'{name}.mat')['LabelMap']
    many, few = pascal_context_labels(numbers, read_class_names('pc459'), read_class_names('pc59'))
    write_label_map(root / 'context459' / f'{name}.png', many, 459)
    write_label_map(root / 'SegmentationClassContext' / f'{name}.png', few, 60)


if __name__ == '__main__':
    run_tool(main)
