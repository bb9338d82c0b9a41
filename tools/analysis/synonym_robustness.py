"""What an evaluation gives when its classes are called by other names: labels, images and weights stay.

  python tools/analysis/synonym_robustness.py configs/evaluation/region_classification_vitb16.py CHECKPOINT \\
      --names coco_panoptic_synonyms

CONFIG is any evaluation of this package: region classification, off-the-shelf segmentation, CAT-Seg, F-ViT. It runs
twice, and the table gives every metric with both lists of names and the difference. --names is a vocabulary of the
package with aliases or a .json file {"names": [...], "aliases": {"couch": "sofa", ...}}; classes that it does not name
keep their own. 'coco_panoptic_synonyms' has another name for each of COCO's 133 classes. Published towers lose 4 to 10
points of AP this way.
"""
from pathlib import Path

from rsc_mm.apis.analysis.synonyms import synonym_robustness
from rsc_mm.apis.command_line import run_tool, tool_parser
from rsc_mm.utils.tables import markdown_table, write_json


def main() -> None:
    parser = tool_parser(__doc__)
    parser.add_argument('config', help='configuration of an evaluation')
    parser.add_argument('checkpoint', help='weights, as tools/test.py takes them')
    parser.add_argument('--names', required=True, help='vocabulary or .json file with other names')
    parser.add_argument('--work-dir', help='where logs go; default: work_dirs/CONFIG NAME')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    parser.add_argument('--out', type=Path, metavar='JSON', help='where the figures go as well')
    args = parser.parse_args()
    found = synonym_robustness(args.config, args.checkpoint, args.names, args.cfg_options, args.work_dir, args.launcher)
    print(markdown_table(['', 'own names', 'other names', 'difference'],
                         [[name, f'{own:.2f}', f'{other:.2f}', f'{other - own:+.2f}']
                          for name, (own, other) in found.items()]))
    if all(own == other for own, other in found.values()):
        print(f'No metric changed: are the names of {args.names} those of the classes?')
    if args.out:
        write_json(args.out, {name: dict(own=own, other=other) for name, (own, other) in found.items()})


if __name__ == '__main__':
    run_tool(main)
