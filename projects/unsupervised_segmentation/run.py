"""Unsupervised segmentation of a tower: its three trainings and the test, by one command.

  python projects/unsupervised_segmentation/run.py projects/unsupervised_segmentation/shapes.py --checkpoint TOWER

Stopped and started again, it goes on; what is done is not repeated. On several GPUs: python -m torch.distributed.run
--nproc-per-node=GPUS projects/unsupervised_segmentation/run.py CONFIG --launcher pytorch. The metrics also go to
metrics.json in the work directory: clusters/mIoU and clusters/aAcc are the protocol's, crf/* those after the CRF, where
there is one, linear/* those of a probe trained on the labels.
"""
from pathlib import Path

import cause  # noqa: F401  registers the steps, data sets and metrics
from cause.running import run
from mmengine.dist import is_main_process

from rsc_mm.apis import load_runner_config
from rsc_mm.apis.command_line import run_tool, tool_parser
from rsc_mm.apis.evaluation import metrics_as_json
from rsc_mm.engine.memory import settle_memory
from rsc_mm.utils.files import replacing


def main() -> None:
    """Trains and evaluates."""
    parser = tool_parser(__doc__)
    parser.add_argument('config', help='configuration of this folder')
    parser.add_argument('--checkpoint', help="the tower's weights; default: those that the configuration names")
    parser.add_argument('--work-dir', help='where the steps go; default: work_dirs/CONFIG NAME')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    args = parser.parse_args()
    settle_memory()
    config = load_runner_config(args.config, args.cfg_options, args.work_dir, args.launcher)
    if args.checkpoint:
        config.model.backbone.init_cfg = dict(type='Pretrained', checkpoint=args.checkpoint)
    metrics = run(config)
    if is_main_process():
        with replacing(Path(config.work_dir, 'metrics.json')) as beside:
            beside.write_text(metrics_as_json(metrics))


if __name__ == '__main__':
    run_tool(main)
