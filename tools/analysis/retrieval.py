"""Image-against-region retrieval: does a location of the dense map describe its image, or the region it lies in?

  python tools/analysis/retrieval.py configs/shapes/region_classification.py CHECKPOINT --reference ORIGINAL

Every location of the dense map retrieves, by cosine, the image it belongs to and the annotated region it belongs to,
each among 50 samples: the right one and 49 wrong ones. Images are encoded as a whole, regions as image crops of their
boxes. Recall at 1, 5 and 10 is the share of locations whose right answer is among the first k (CLIPSelf, Wu et al.,
ICLR 2024, app. A.1; table A1, COCO val2017, ViT-B/16: images 67.0 / 85.6 / 91.4, regions 34.7 / 60.5 / 71.4; after
CLIPSelf images 28.4 / 50.3 / 62.5, regions 57.1 / 80.1 / 85.8).

Chosen here where the paper is silent: images and crops are encoded by --reference, by default CHECKPOINT itself (give
the original tower for a student, whose image embedding was not trained); a location belongs to the smallest box around
its centre, and one without box takes no part in the retrieval of regions; wrong answers are drawn for every location
anew, from the other images; ties count against the location; locations in the padding take no part.

CONFIG is one of a tower; its test_dataloader gives images with boxes, model.data_preprocessor.crop_size the side of the
crops and of the images that are encoded as a whole.
"""
import argparse
from pathlib import Path

from rsc_mm.apis.analysis.retrieval import TOPK, measure_retrieval
from rsc_mm.apis.command_line import positive, run_tool, tool_parser
from rsc_mm.utils.tables import markdown_table, write_json


def parse_args() -> argparse.Namespace:
    parser = tool_parser(__doc__)
    parser.add_argument('config', help='configuration of a tower')
    parser.add_argument('checkpoint', help="weights whose dense map is asked: a file, or 'open_clip::MODEL/TAG'")
    parser.add_argument('--reference', help='weights that encode images and crops; default: CHECKPOINT')
    parser.add_argument('--images', type=positive, default=200, help='number of images; default 200')
    parser.add_argument('--samples', type=positive, default=50, help='right and wrong answers together; default 50')
    parser.add_argument('--batch-size', type=positive, default=8, help='images at a time; default 8')
    parser.add_argument('--seed', type=int, default=0, help='of images and wrong answers; default 0')
    parser.add_argument('--out', type=Path, metavar='JSON', help='where the figures go as well')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    figures = measure_retrieval(args.config, args.checkpoint, args.reference, args.images, args.samples,
                                args.batch_size, args.seed, args.cfg_options)
    names = [f'R@{k}' for k in TOPK]
    print(markdown_table(['', *names, 'locations'], [
        [kind, *(f'{row[name]:.1f}' for name in names), str(row['locations'])] for kind, row in figures.items()]))
    if args.out:
        write_json(args.out, figures)


if __name__ == '__main__':
    run_tool(main)
