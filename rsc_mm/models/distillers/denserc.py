import torch

from rsc_mm.registry import MODELS

from .declip import DeCLIP


@MODELS.register_module()
class DenseRC(DeCLIP):
    r"""Semantics and coherence on one dense map (DenseRC, CVPR 2026).

    .. math:: L = \frac{1}{K} \sum_k \big(1 - \cos(\mathrm{RoIAlign}(X_{dense}, b_k), f_{image}(X[b_k]))\big)
              + \lambda\,d\big(G(\mathrm{VFM}(X)) - G(X_{dense})\big), \quad G = \hat X \hat X^T

    (eq. 20 with unit tokens :math:`\hat X`). :math:`X_{dense}` is the output of the readout 'hsg', Head Selection
    Gating; with another readout the same map serves both terms, whatever context that readout has.

    Args:
        backbone: the student tower.
        vfm: `VFMTeacher`.
        context_loss: see `ContextCorrelationLoss`; the paper's lambda is 0.025.
        **kwargs: see `DeCLIP`.
    """

    def __init__(self, backbone: dict, vfm: dict,
                 context_loss: dict = dict(type='ContextCorrelationLoss', loss_weight=0.025), **kwargs: object) -> None:
        super().__init__(backbone, vfm, context_loss=context_loss, **kwargs)

    def encode(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The dense map, twice.

        Args:
            images: (B, 3, H, W).

        Returns:
            (B, D, h, w), not normalised, two times.
        """
        dense = self.backbone.encode_dense(images, normalize=False)
        return dense, dense
