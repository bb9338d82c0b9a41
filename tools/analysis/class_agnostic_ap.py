"""AP of a detector that finds objects and cannot name them: what the detector's own AP is to be held against.

  python tools/analysis/class_agnostic_ap.py configs/shapes/fvit_shapes.py work_dirs/fvit_shapes/epoch_3.pth

The boxes are the detector's own. Every class c of a box gets the same score, the probability that it holds any object,

  s_c = 1 - p_background,   p = softmax of the box head's logits,

so each box stays as every class. What the detector is above this comes from its naming. Prints the metrics of the
configuration's test_evaluator, as tools/test.py does for the detector itself.
"""
import argparse

from rsc_mm.apis.command_line import run_tool, tool_parser


def parse_args() -> argparse.Namespace:
    parser = tool_parser(__doc__)
    parser.add_argument('config', help='configuration of a detector')
    parser.add_argument('checkpoint', help='what its training saved')
    parser.add_argument('--work-dir', default='work_dirs/class_agnostic_ap', help='where logs go')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    from rsc_mm.apis.analysis.class_agnostic import measure_class_agnostic  # here, so that --help needs no mmdet
    measure_class_agnostic(args.config, args.checkpoint, args.work_dir, args.cfg_options)


if __name__ == '__main__':
    run_tool(main)
