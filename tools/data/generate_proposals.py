"""Write the proposals file that distillation reads: class-agnostic boxes of an RPN or any detector of mmdet.

  python tools/data/generate_proposals.py configs/proposals/rpn_r50_ovcoco_base.py CHECKPOINT \\
      data/coco/proposals/rpn_train2017.json --ann-file data/coco/annotations/instances_train2017.json \\
      --img-prefix data/coco/train2017

Runs the model of CONFIG with its test pipeline on every image that --ann-file names (its annotations are not read) and
keeps the --top-k best boxes of an image with a score of at least --min-score. The default of 100 is our choice:
CLIPSelf's paper gives no number, and a training step draws 20 of them at random.

OUT is COCO json: `images` of --ann-file, and `annotations` with `id`, `image_id`, `bbox` [x, y, width, height] in
original pixels, `area`, `category_id` 1, `iscrowd` 0 and `score`, best first; one category, 'object'. Finished images
are kept in OUT.json.part: run the same command again after an interruption.
"""
import argparse
from pathlib import Path

import rsc_mm  # noqa: F401  registers every component
from rsc_mm.apis.command_line import positive, run_tool, tool_parser
from rsc_mm.apis.proposals import detector_config, generate_proposals, run_key, write_proposals
from rsc_mm.datasets.annotations import load_coco
from rsc_mm.utils.dependencies import require
from rsc_mm.utils.part_file import PartFile


def parse_args() -> argparse.Namespace:
    parser = tool_parser(__doc__)
    parser.add_argument('config', help='configuration of mmdet: an RPN, or a detector whose boxes are taken')
    parser.add_argument('checkpoint', help='its weights')
    parser.add_argument('out', type=Path, help='json file to write')
    parser.add_argument('--ann-file', required=True, help='COCO or LVIS json that names the images')
    parser.add_argument('--img-prefix', required=True, help='folder of the images')
    parser.add_argument('--top-k', type=positive, default=100, help='most boxes of an image; default 100')
    parser.add_argument('--min-score', type=float, default=0., help='least score of a box; default 0')
    parser.add_argument('--batch-size', type=positive, default=4, help='images at a time; default 4')
    parser.add_argument('--workers', type=int, default=4, help='processes that decode images; default 4')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if args.out.exists():
        print(f'{args.out} is there already; delete it to make it anew')
        return
    if not Path(args.checkpoint).is_file():
        raise SystemExit(f'{args.checkpoint}: found no such file, expected the weights of {args.config}')
    if not Path(args.img_prefix).is_dir():
        raise SystemExit(f'--img-prefix {args.img_prefix}: found no such folder, expected the one of the images')
    for library in ('mmcv', 'mmdet'):
        require(library)
    from mmdet.utils import register_all_modules
    register_all_modules(init_default_scope=False)
    config, limits = detector_config(args.config, args.cfg_options), (args.top_k, args.min_score)
    table = load_coco(args.ann_file, args.img_prefix, (), '')
    key = run_key(config, args.checkpoint, table, limits)
    part = PartFile(args.out.with_name(args.out.name + '.part'), key)
    generate_proposals(config, args.checkpoint, table, part, limits, args.batch_size, args.workers)
    write_proposals(args.out, part.entries(), table, args.img_prefix)
    part.path.unlink()


if __name__ == '__main__':
    run_tool(main)
