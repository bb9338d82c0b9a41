import torch
from torch import nn
from torch.nn import functional as F

from rsc_mm.models.losses.region_alignment import mean_over_regions
from rsc_mm.registry import MODELS
from rsc_mm.utils.precision import full_precision
from rsc_mm.utils.regions import region_tokens

from .ema import EMATower
from .maps import StudentMaps


@MODELS.register_module()
class DenseContrast(nn.Module):
    r"""Dense contrast with an EMA teacher: L_CL (R-SC, sec. 4.5, table 6(a); DenseCL, Wang et al., CVPR 2021, eq. 2).

    The two views are a region within its image, for the student, and the crop of that region, for the EMA teacher.
    With student tokens :math:`z_{k,i}` of region k and teacher tokens :math:`u_{k,j}` of its crop, all of length 1,

    .. math:: L_{CL} = -\frac{1}{KL} \sum_{k,i} \log \frac{e^{z_{k,i} \cdot u_{k,c(k,i)} / \tau}}
              {e^{z_{k,i} \cdot u_{k,c(k,i)} / \tau} + \sum_{l \ne k} e^{z_{k,i} \cdot \bar u_l / \tau}}, \quad
              c(k,i) = \arg\max_j z_{k,i} \cdot u_{k,j}

    where :math:`\bar u_l` is the normalised mean of the tokens of crop l. Deviations from DenseCL, of which the R-SC
    paper says no more than "dense-level contrastive loss" and "EMA": the negatives are the other regions of this
    process' batch, some of them of the same image, instead of a queue of 65,536 images, since an aligned image gives
    dozens of regions and a queue would be one more state; no projection heads, so that the loss acts on the
    embeddings that alignment trains, as L_SCD does; the dense term alone, since alignment is the global one. A crop's
    black margin counts among its tokens. Since every process contrasts its own regions, the gradient of several
    processes is not that of the joint batch. One region alone has no negative and gives 0.

    Args:
        backbone: the student's tower, from which the EMA teacher is made.
        temperature: tau.
        momentum: of the EMA teacher, see `EMATower`.
        region_size: side of the region grid, L = region_size^2.
        loss_weight: the paper gives none; that of L_SCD.
    """

    def __init__(self, backbone: nn.Module, temperature: float = 0.2, momentum: float = 0.999, region_size: int = 7,
                 loss_weight: float = 0.2) -> None:
        super().__init__()
        self.ema = EMATower(backbone, momentum)
        self.temperature = temperature
        self.region_size = region_size
        self.loss_weight = loss_weight

    def forward(self, student: nn.Module, teacher: nn.Module, images: torch.Tensor, maps: StudentMaps,
                boxes: list[torch.Tensor], crops: torch.Tensor | None) -> torch.Tensor:
        """The weighted loss; the EMA teacher follows the student first.

        Args:
            student: the tower in training.
            teacher: not used.
            images: not used.
            maps: the student's, see `encode_maps`.
            boxes: for each image (K_i, 4) in network pixels.
            crops: the same regions cut from the images (sum K_i, 3, s, s).

        Returns:
            Scalar; 0 with a gradient graph without regions.

        Raises:
            ValueError: there are no crops.
        """
        if crops is None:
            raise ValueError("DenseContrast: found no crops, expected those of the regions; give the data_preprocessor "
                             "a 'crop_size'")
        self.ema.update_parameters(student)
        queries = region_tokens(maps.dense, boxes, student.patch_size, self.region_size)  # (K, L, D)
        with torch.no_grad():
            keys = self.ema.module.encode_dense(crops).flatten(2).transpose(1, 2)  # (K, N, D)
        return self.loss_weight * mean_over_regions(self.contrast(queries, keys))

    @full_precision
    def contrast(self, queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        """InfoNCE of every region, the mean over its tokens.

        Args:
            queries: student tokens (K, L, D).
            keys: teacher tokens of the crops (K, N, D), without gradient.

        Returns:
            (K,).
        """
        queries, keys = F.normalize(queries, dim=2), F.normalize(keys, dim=2)
        matches = (queries.detach() @ keys.transpose(1, 2)).argmax(2, keepdim=True)  # (K, L, 1)
        positives = queries * keys.gather(1, matches.expand(queries.shape))  # (K, L, D)
        pooled = F.normalize(keys.mean(1), dim=1)  # (K, D)
        own = torch.eye(len(keys), dtype=torch.bool, device=keys.device)[:, None]  # (K, 1, K)
        negatives = (queries @ pooled.t()).masked_fill(own, -torch.inf)  # (K, L, K)
        logits = torch.cat([positives.sum(2, keepdim=True), negatives], dim=2) / self.temperature  # (K, L, 1+K)
        return -logits.log_softmax(2)[..., 0].mean(1)
