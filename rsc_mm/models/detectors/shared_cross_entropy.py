import torch
from mmdet.models.losses import CrossEntropyLoss
from mmdet.utils import reduce_mean

from rsc_mm.registry import MODELS


@MODELS.register_module()
class SharedCrossEntropyLoss(CrossEntropyLoss):
    r"""mmdet's cross-entropy whose divisor is averaged over processes, as that of the masks' losses is.

    .. math:: L_r = R \sum_i w_i l_i \Big/ \sum_{r'} \sum_i w_i, \quad i \text{ of process } r

    The mean gradient of R processes is then that of their joint batch. mmdet and FC-CLIP divide by the process's own
    sum of weights, so that a query counts more on a process with fewer objects.
    """

    def forward(self, *args: object, avg_factor: torch.Tensor, **kwargs: object) -> torch.Tensor:
        """The loss.

        Args:
            *args: see mmdet.
            avg_factor: sum of weights on this process.
            **kwargs: see mmdet.
        """
        return super().forward(*args, avg_factor=reduce_mean(avg_factor), **kwargs)
