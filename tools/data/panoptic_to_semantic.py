"""Label maps from COCO's panoptic annotation: one label for each class, in the order of the category ids.

  python tools/data/panoptic_to_semantic.py data/coco/annotations/panoptic_val2017.json \\
      data/coco/annotations/panoptic_val2017 data/coco/panoptic_labels/val2017

Things of a class are one label; pixels without a segment are 255, or 65535 where there are more than 255 classes. The
data set rsc_mm.PanopticLabelDataset reads the panoptic files themselves and needs no such files.
"""
import argparse
from functools import partial
from pathlib import Path

from rsc_mm.apis.command_line import run_tool
from rsc_mm.datasets.annotations import load_coco
from rsc_mm.datasets.image_io import read_segments
from rsc_mm.datasets.label_maps import panoptic_to_semantic, write_label_map
from rsc_mm.datasets.label_sources import run_all
from rsc_mm.datasets.structures import ImageRecord


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('json', metavar='JSON', help='panoptic json')
    parser.add_argument('segments', metavar='SEGMENTS', help='folder of its pngs')
    parser.add_argument('out', metavar='OUT', type=Path, help='folder to write')
    parser.add_argument('--processes', type=int, default=4, help='number of processes (default: %(default)s)')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    table = load_coco(args.json, '', ('bbox', 'category_id', 'segments_info'), args.segments)
    records = [record for record in map(table.record, range(len(table))) if record.segmentation_path is not None]
    run_all(partial(convert, args.out, len(table.classes)), records, args.processes)
    print(f'wrote {len(records)} maps of {len(table.classes)} classes to {args.out}; {len(table) - len(records)} images '
          'have no annotation')


def convert(out: Path, num_classes: int, record: ImageRecord) -> None:
    """Write the map of one image.

    Args:
        out: folder to write.
        num_classes: number of classes.
        record: image with its segments.
    """
    path = record.segmentation_path
    labels = panoptic_to_semantic(read_segments(path, record.shape).numpy(), record.segment_ids, record.labels, path)
    write_label_map(out / f'{Path(path).stem}.png', labels, num_classes)


if __name__ == '__main__':
    run_tool(main)
