"""AP of a detector that finds objects and cannot name them: what the detector's own AP is to be held against.

  python tools/analysis/class_agnostic_ap.py configs/shapes/fvit_shapes.py work_dirs/fvit_shapes/epoch_3.pth

The boxes are the detector's own. Every class c of a box gets the same score, the probability that it holds any object,

  s_c = 1 - p_background,   p = softmax of the box head's logits,

so each box stays as every class. What the detector is above this comes from its naming. Prints the metrics of the
configuration's test_evaluator, as tools/test.py does for the detector itself.
"""
import argparse

import torch
from common import load_config, parser
from mmengine.runner import Runner

from rsc_mm.models.detectors import FViTBBoxHead


class ClassAgnosticBBoxHead(FViTBBoxHead):
    """A box head that gives all classes of a box one score."""

    def scores(self, logits: torch.Tensor, regions: torch.Tensor) -> torch.Tensor:
        """The score of any object, for every class.

        Args:
            logits: of this head (K, T+1), the background last.
            regions: CLIP's features of the boxes, not used.

        Returns:
            (K, T+1), float32.
        """
        background = logits.float().softmax(dim=1)[:, -1:]
        return torch.cat([(1 - background).expand(-1, self.num_classes), background], dim=1)


def parse_args() -> argparse.Namespace:
    arguments = parser(__doc__)
    arguments.add_argument('config', help='configuration of a detector')
    arguments.add_argument('checkpoint', help='what its training saved')
    arguments.add_argument('--work-dir', default='work_dirs/class_agnostic_ap', help='where logs go')
    return arguments.parse_args()


def main() -> None:
    args = parse_args()
    measure(args.config, args.checkpoint, args.work_dir, args.cfg_options)


def measure(config: str, checkpoint: str, work_dir: str, options: dict | None = None) -> dict[str, float]:
    """Metrics of the detector's boxes under every class.

    Args:
        config: configuration file of a detector with an `FViTBBoxHead`.
        checkpoint: what its training saved.
        work_dir: where logs go.
        options: overrides of the configuration.

    Raises:
        SystemExit: another box head.
    """
    cfg = load_config(config, options)
    head = cfg.model.get('roi_head', {}).get('bbox_head', {})
    if head.get('type') != 'rsc_mm.FViTBBoxHead':
        raise SystemExit(f"{config}, field 'model.roi_head.bbox_head.type': found {head.get('type')}, expected "
                         "'rsc_mm.FViTBBoxHead'; give a configuration of F-ViT")
    head.type = ClassAgnosticBBoxHead
    cfg.model.backbone.init_cfg = None
    cfg.work_dir = work_dir
    runner = Runner.from_cfg(cfg)
    runner.load_checkpoint(checkpoint, strict=True)
    return runner.test()


if __name__ == '__main__':
    main()
