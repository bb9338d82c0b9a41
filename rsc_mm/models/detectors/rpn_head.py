import torch
from mmcv.cnn import ConvModule
from mmdet.models.dense_heads import RPNHead
from torch import nn

from rsc_mm.registry import MODELS


@MODELS.register_module()
class NormRPNHead(RPNHead):
    """mmdet's RPN head with a norm after its convolutions, and float32 outputs.

    mmdet's own has no norm, which F-ViT needs on LVIS; and under bfloat16 its scores would tie and its NMS fail on
    the CPU.

    Args:
        norm_cfg: norm of the convolutions, such as ``dict(type='BN')``; None: none, as F-ViT on COCO.
        **kwargs: see mmdet's `RPNHead`.
    """

    def __init__(self, norm_cfg: dict | None = None, **kwargs: object) -> None:
        super().__init__(**kwargs)
        if norm_cfg:
            widths = [self.in_channels] + [self.feat_channels] * self.num_convs
            self.rpn_conv = nn.Sequential(*(
                ConvModule(width, self.feat_channels, 3, padding=1, norm_cfg=norm_cfg, inplace=False)
                for width in widths[:-1]))

    def forward_single(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Scores and deltas of one level.

        Args:
            x: (B, C, h, w).

        Returns:
            Scores (B, A, h, w) and deltas (B, 4A, h, w) of A anchors at each position, float32.
        """
        scores, deltas = super().forward_single(x)
        return scores.float(), deltas.float()
