"""Evaluate a tower: python tools/test.py configs/evaluation/region_classification_vitb16.py CHECKPOINT
or a detector:    python tools/test.py configs/fvit/fvit_vitb16_ovcoco.py CHECKPOINT
or rescored:      python tools/test.py configs/rescoring/rescoring_shapes.py CHECKPOINT
or segmentation:  python tools/test.py configs/segmentation/maskclip_vitb16_ade20k.py CHECKPOINT

For a tower, and for off-the-shelf segmentation, CHECKPOINT is a CLIP checkpoint of any format in docs/towers.md, or
one that training saved; for a detector and for CAT-Seg it is the whole model, for a detector that is rescored the
detector alone. The metrics also go to metrics.json in the work directory; what is absent (a split without annotations)
is null there.
"""
import argparse
from pathlib import Path

from mmengine.config import DictAction
from mmengine.dist import is_main_process

from rsc_mm.apis import load_runner_config
from rsc_mm.apis.command_line import add_trust, run_tool
from rsc_mm.apis.evaluation import draw_predictions, evaluate, keep_predictions, metrics_as_json
from rsc_mm.engine.memory import settle_memory


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='configuration file')
    parser.add_argument('checkpoint', help="weights: a file, or 'open_clip::MODEL/TAG'")
    parser.add_argument('--work-dir', help='where logs go; default: work_dirs/CONFIG NAME')
    parser.add_argument('--out', metavar='FILE.pkl', help='also write the predictions of every image')
    parser.add_argument('--show-dir', metavar='FOLDER',
                        help='also draw annotations and predictions of every image (detectors, segmentors)')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE',
                        help='override fields of the configuration, e.g. data_root=/data/coco')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    add_trust(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    settle_memory()
    config = load_runner_config(args.config, args.cfg_options, args.work_dir, args.launcher)
    if args.out:
        keep_predictions(config, args.out)
    if args.show_dir:
        draw_predictions(config, args.show_dir)
    metrics = evaluate(config, args.checkpoint)
    if is_main_process():
        Path(config.work_dir, 'metrics.json').write_text(metrics_as_json(metrics))


if __name__ == '__main__':
    run_tool(main)
