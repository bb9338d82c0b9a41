"""AP of a detector that finds objects and cannot name them. Needs mmdet."""
import torch
from mmengine.runner import Runner

from rsc_mm.models.detectors import FViTBBoxHead

from ..config import load_config


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


def measure_class_agnostic(config: str, checkpoint: str, work_dir: str,
                           options: dict | None = None) -> dict[str, float]:
    """Metrics of the detector's boxes under every class.

    Args:
        config: configuration file of a detector with an `FViTBBoxHead`.
        checkpoint: what its training saved.
        work_dir: where logs go.
        options: overrides of the configuration.

    Raises:
        ValueError: another box head.
    """
    cfg = load_config(config, options)
    head = cfg.model.get('roi_head', {}).get('bbox_head', {})
    if head.get('type') != 'rsc_mm.FViTBBoxHead':
        raise ValueError(f"{config}, field 'model.roi_head.bbox_head.type': found {head.get('type')}, expected "
                         "'rsc_mm.FViTBBoxHead'; give a configuration of F-ViT")
    head.type = ClassAgnosticBBoxHead
    cfg.model.backbone.init_cfg = None
    cfg.work_dir = work_dir
    runner = Runner.from_cfg(cfg)
    runner.load_checkpoint(checkpoint, strict=True)
    return runner.test()
