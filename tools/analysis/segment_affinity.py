r"""Segment AUC: are tokens of the same segment more alike than tokens of two?

  python tools/analysis/segment_affinity.py --config configs/shapes/region_classification.py \
      configs/shapes/refiner.py --checkpoints projects/shapes_clip/shapes_clip.pt work_dirs/refiner/refiner.pth
  python tools/analysis/segment_affinity.py ... --proposals data/shapes/annotations/proposals_train.json \
      --cfg-options test_dataloader.dataset.ann_file=annotations/panoptic_train.json \
      test_dataloader.dataset.img_prefix=train test_dataloader.dataset.seg_prefix=panoptic_train

Regions are random local squares of the annotated images (those that stage 1 of R-SC trains on: LocalCropRegions, side
0.3 to 0.7 of the image's) or with --proposals at most 20 proposals of an image (where stage 2 reads). Every pair of
tokens of a region is scored by its cosine. The AUC is that of telling the pairs of one panoptic segment from the pairs
of two: 0.5 is chance, 1 is perfect. A row for each checkpoint reads the region in its image, by RoIAlign or through
the Refiner; 'crop alone' is the first tower on the region cut out, for squares the target of stage 1; 'position' scores
pairs by nearness alone. It tells whether the correlations that R-SC distils (eq. 3) are worth it. Needs scikit-learn,
which the extra [vis] installs.
"""
import argparse
from pathlib import Path

from rsc_mm.apis import load_config
from rsc_mm.apis.analysis.segments import measure_segments
from rsc_mm.apis.command_line import compared_checkpoints, positive, run_tool, tool_parser
from rsc_mm.apis.features import load_several
from rsc_mm.utils.tables import markdown_table, write_json


def parse_args() -> argparse.Namespace:
    parser = tool_parser(__doc__)
    compared_checkpoints(parser)
    parser.add_argument('--images', type=positive, default=200, help='first images of the dataset; default 200')
    parser.add_argument('--size', type=positive, default=7, help='side of the region grid; default 7')
    parser.add_argument('--proposals', metavar='JSON', help='COCO json with boxes of the same images: the regions')
    parser.add_argument('--seed', type=int, default=0, help='of the regions; default 0')
    parser.add_argument('--out', type=Path, metavar='JSON', help='where the figures go as well')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    features = load_several(args.config, args.checkpoints, args.names, args.cfg_options)
    config = load_config(args.config[0], args.cfg_options)
    figures = measure_segments(config, features, args.images, args.size, args.seed, args.proposals)
    print(markdown_table(['', 'segment AUC'], [[name, f'{value:.3f}'] for name, value in figures.items()]))
    if args.out:
        write_json(args.out, figures)


if __name__ == '__main__':
    run_tool(main)
