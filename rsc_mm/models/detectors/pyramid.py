import torch
from mmcv.cnn import build_norm_layer
from mmdet.registry import MODELS as MMDET_MODELS
from mmengine.model import BaseModule
from torch import nn

from rsc_mm.registry import MODELS


@MODELS.register_module()
class ViTPyramid(BaseModule):
    """Four maps of one stride to four strides (ViTDet's simple pyramid as F-ViT has it; CLIPSelf, sec. A.3).

    ======= ========================================== ======================
    map     resized                                    stride of ViT-B/16
    ======= ========================================== ======================
    first   x4 by ConvT(2,2), norm, GELU, ConvT(2,2)    4
    second  x2 by ConvT(2,2)                            8
    third   as it is                                   16
    fourth  x1/2 by max pooling                        32
    ======= ========================================== ======================

    Inputs of a whole number of patch pairs keep all strides exact.

    Args:
        in_channels: width C of the tower.
        norm_cfg: norm of the x4 branch. Write BN and set ``sync_bn='torch'`` at the top of the config for several GPUs.
        init_cfg: for MMEngine.
    """

    def __init__(self, in_channels: int, norm_cfg: dict | None = dict(type='BN'),
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        norm = nn.Identity() if norm_cfg is None else build_norm_layer(norm_cfg, in_channels)[1]
        self.up4 = nn.Sequential(nn.ConvTranspose2d(in_channels, in_channels, 2, 2), norm, nn.GELU(),
                                 nn.ConvTranspose2d(in_channels, in_channels, 2, 2))
        self.up2 = nn.ConvTranspose2d(in_channels, in_channels, 2, 2)
        self.down2 = nn.MaxPool2d(2, 2)

    def forward(self, maps: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        """The pyramid.

        Args:
            maps: four maps of the tower (B, C, h, w), shallow first.

        Returns:
            Four levels (B, C, h_l, w_l), finest first: 4h, 2h, h, h/2.
        """
        first, second, third, fourth = maps
        return self.up4(first), self.up2(second), third, self.down2(fourth)


@MODELS.register_module()
class ViTPyramidFPN(ViTPyramid):
    """`ViTPyramid`, and mmdet's FPN after it (F-ViT; CLIPSelf, sec. A.3).

    Args:
        in_channels: width C of the tower.
        out_channels: channels of the pyramid.
        num_outs: levels of the pyramid, at least 4; further ones are pooled from the last.
        norm_cfg: norm of the x4 branch and of the FPN, see `ViTPyramid`.
        init_cfg: for MMEngine.
    """

    def __init__(self, in_channels: int, out_channels: int = 256, num_outs: int = 5,
                 norm_cfg: dict | None = dict(type='BN'), init_cfg: dict | None = None) -> None:
        super().__init__(in_channels, norm_cfg, init_cfg)
        self.fpn = MMDET_MODELS.build(dict(
            type='mmdet.FPN', in_channels=[in_channels] * 4, out_channels=out_channels, num_outs=num_outs,
            norm_cfg=norm_cfg))

    def forward(self, maps: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        """The pyramid.

        Args:
            maps: four maps of the tower (B, C, h, w), shallow first.

        Returns:
            ``num_outs`` levels (B, out_channels, h_l, w_l), finest first: 4h, 2h, h, h/2, h/4 ...
        """
        return self.fpn(super().forward(maps))


@MODELS.register_module()
class ViTPyramidMapper(BaseModule):
    """Three maps of one stride to three levels for a DETR: x2 by ConvT(2,2), as it is, x1/2 by max pooling (OV-DQUO).

    It is `ViTPyramidFPN` without the finest level and without mixing of levels: a convolution of 1 px and a group norm
    bring each level to the transformer's width (mmdet's `ChannelMapper`).

    Args:
        in_channels: width C of the tower.
        out_channels: width of the transformer.
        norm_groups: groups of the norm.
        init_cfg: for MMEngine.
    """

    def __init__(self, in_channels: int, out_channels: int = 256, norm_groups: int = 32,
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.up2 = nn.ConvTranspose2d(in_channels, in_channels, 2, 2)
        self.down2 = nn.MaxPool2d(2, 2)
        self.mapper = MMDET_MODELS.build(dict(
            type='mmdet.ChannelMapper', in_channels=[in_channels] * 3, out_channels=out_channels, kernel_size=1,
            bias=True, act_cfg=None, norm_cfg=dict(type='GN', num_groups=norm_groups), num_outs=3))

    def forward(self, maps: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        """The levels.

        Args:
            maps: three maps of the tower (B, C, h, w), shallow first.

        Returns:
            Three levels (B, out_channels, h_l, w_l), finest first: 2h, h, h/2.
        """
        first, second, third = maps
        return self.mapper((self.up2(first), second, self.down2(third)))
