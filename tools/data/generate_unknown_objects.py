"""Write the pseudo boxes of unknown objects that OV-DQUO trains with, from class-agnostic proposals.

  python tools/data/generate_proposals.py configs/proposals/rpn_r50_ovcoco_base.py CHECKPOINT proposals.json \\
      --ann-file data/coco/annotations/instances_train2017_base.json --img-prefix data/coco/train2017
  python tools/data/generate_unknown_objects.py proposals.json data/coco/unknown_objects.json \\
      --ann-file data/coco/annotations/instances_train2017_base.json

OV-DQUO's own files (OW_COCO_R2.json, OW_LVIS_R3.json) are a download and are read as they are; how they were made is
unpublished. This is our replacement: the rules of MEPU, on which they rest, on the proposals of any proposer that saw
base classes only. A proposal stays if it is neither small, nor nearly the image, nor thin, nor near a better one, nor
over an annotated box; then the best of each image, and of all images those above one threshold. The weight of a box is
the proposer's score, where MEPU has the ratio of two densities of a reconstruction error.

OUT is a json list of `image_id`, `bbox` [x, y, width, height], `category_id` -1, `pseudo` 1 and `weight`.
"""
import argparse
from pathlib import Path

from rsc_mm.apis.command_line import positive, run_tool, tool_parser
from rsc_mm.apis.unknown_objects import CleaningRules, find_unknown_objects
from rsc_mm.datasets.open_vocabulary import write_annotations


def parse_args() -> argparse.Namespace:
    parser = tool_parser(__doc__)
    rules = CleaningRules()
    parser.add_argument('proposals', type=Path, help='json of tools/data/generate_proposals.py')
    parser.add_argument('out', type=Path, help='json file to write')
    parser.add_argument('--ann-file', type=Path, required=True, help='COCO or LVIS json of the base classes')
    parser.add_argument('--min-area', type=float, default=rules.min_area, help='least area in square pixels; 2000')
    parser.add_argument('--max-share', type=float, default=rules.max_share, help='largest share of the image; 0.98')
    parser.add_argument('--max-aspect', type=float, default=rules.max_aspect, help='longer side to shorter one; 4')
    parser.add_argument('--nms-iou', type=float, default=rules.nms_iou, help='of the NMS; 0.3')
    parser.add_argument('--annotated-iou', type=float, default=rules.annotated_iou,
                        help='largest IoU with an annotated box; 0.3')
    parser.add_argument('--per-image', type=positive, default=rules.per_image, help='most boxes of an image; 10')
    parser.add_argument('--share', type=float, default=rules.share, help='part of all that is kept; 0.3')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if not 0 < args.share <= 1:
        raise SystemExit(f'--share: found {args.share}, expected a number above 0 and at most 1')
    if args.out.exists():
        print(f'{args.out} is there already; delete it to make it anew')
        return
    rules = CleaningRules(args.min_area, args.max_share, args.max_aspect, args.nms_iou, args.annotated_iou,
                          args.per_image, args.share)
    entries = find_unknown_objects(args.proposals, args.ann_file, rules)
    write_annotations(args.out, entries)
    print(f"wrote {args.out}: {len(entries)} pseudo boxes on {len({row['image_id'] for row in entries})} images")


if __name__ == '__main__':
    run_tool(main)
