"""Panoptic quality of any model's masks when a dense CLIP names them ('CLIP only' of CLIPSelf, table 5).

  python tools/analysis/panoptic_by_clip.py CHECKPOINT data/coco/annotations/panoptic_val2017.json \\
      data/coco/annotations/panoptic_val2017 data/coco/val2017 --found predictions.json --found-folder predictions

The predictions are COCO panoptic json and pngs as every public panoptic code writes them; without --found the annotated
masks themselves are named, which bounds what any mask generator can reach. Prints PQ, SQ and RQ in percent with the
predictions' own classes and with the tower's. Nothing is trained and nothing of mmdet is needed.
"""
import argparse
from pathlib import Path

from rsc_mm.apis import load
from rsc_mm.apis.analysis.panoptic import panoptic_by_clip, read_panoptic
from rsc_mm.apis.command_line import add_trust, run_tool
from rsc_mm.models.text.class_names import read_class_names
from rsc_mm.utils.tables import markdown_table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_trust(parser)
    parser.add_argument('checkpoint', help='what rsc_mm.load takes: a published file or folder, a configuration ...')
    parser.add_argument('annotations', type=Path, help='panoptic json')
    parser.add_argument('folder', type=Path, help='folder of its pngs')
    parser.add_argument('images', type=Path, help='folder of the images')
    parser.add_argument('--found', type=Path, help='predicted panoptic json; default: the annotation itself')
    parser.add_argument('--found-folder', type=Path, help='folder of its pngs')
    parser.add_argument('--names', help='names of the classes in the order of their ids; default: those of the json')
    args = parser.parse_args()
    if (args.found is None) != (args.found_folder is None):
        parser.error('--found and --found-folder belong together')
    truth, crowds = read_panoptic(args.annotations, args.folder, args.images)
    found = truth if args.found is None else read_panoptic(args.found, args.found_folder)[0]
    names = list(truth.classes) if args.names is None else read_class_names(args.names)
    rows = panoptic_by_clip(load(args.checkpoint), truth, crowds, found, names)
    print(markdown_table(['', 'PQ', 'SQ', 'RQ'],
                         [[kind, *(f'{value:.1f}' for value in values)] for kind, values in rows.items()]))


if __name__ == '__main__':
    run_tool(main)
