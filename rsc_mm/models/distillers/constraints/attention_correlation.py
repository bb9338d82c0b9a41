import torch
from torch import nn

from rsc_mm.registry import MODELS

from .maps import StudentMaps, encode_maps


@MODELS.register_module()
class AttentionCorrelation(nn.Module):
    r"""Correlation distillation of the attention values: L_Attn (R-SC, sec. 4.5 and table 6(a)).

    .. math:: L_{Attn} = L_{SCD}(V^s, V^t), \quad V = \mathrm{RoIAlign}(W_v\,\mathrm{LN}_1 x,\; b_k)

    with :math:`x` the tokens before the last block. Everything but the tensor that is correlated is `SCDLoss`, so that
    the row of table 6(a) differs from L_SCD in it alone. Peng et al. (CVPR 2023), whom the paper names, distil the
    correlations of support and query images between the levels of one few-shot network; the paper keeps of it the
    place, attention, and gives no formula. Two processes give the gradient of the joint batch.

    Args:
        backbone: not used; every constraint is built with the student's tower.
        scd_loss: see `SCDLoss`; holds the weight.
    """

    def __init__(self, backbone: nn.Module, scd_loss: dict = dict(type='SCDLoss')) -> None:
        super().__init__()
        self.scd_loss = MODELS.build(scd_loss)

    def forward(self, student: nn.Module, teacher: nn.Module, images: torch.Tensor, maps: StudentMaps,
                boxes: list[torch.Tensor], crops: torch.Tensor | None) -> torch.Tensor:
        """The weighted loss.

        Args:
            student: the tower in training.
            teacher: the frozen tower.
            images: (B, 3, H, W).
            maps: the student's, see `encode_maps`.
            boxes: for each image (K_i, 4) in network pixels.
            crops: not used.

        Returns:
            Scalar; 0 with a gradient graph without regions.
        """
        with torch.no_grad():
            target = encode_maps(teacher, images).values
        return self.scd_loss.from_maps(maps.values, target, boxes, student.patch_size)
