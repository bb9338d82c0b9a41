import torch
from mmengine.dist import all_reduce
from mmengine.model import ExponentialMovingAverage
from torch import nn
from torch.nn import functional as F

from rsc_mm.models.losses.region_alignment import mean_over_regions
from rsc_mm.registry import MODELS
from rsc_mm.utils.precision import full_precision
from rsc_mm.utils.regions import grid_shape

from .ema import EMATower
from .maps import StudentMaps
from .masking import hide, random_patches


class Prototypes(nn.Linear):
    """Cosines of unit tokens and prototypes, (..., D) -> (..., P): a linear head whose rows are used at length 1."""

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """The cosines.

        Args:
            tokens: unit vectors (..., D).

        Returns:
            (..., P).
        """
        return F.linear(tokens, F.normalize(self.weight, dim=1))


@MODELS.register_module()
class MaskedModelling(nn.Module):
    r"""Masked image modelling with an EMA teacher: L_MIM (R-SC, sec. 4.5 and table 6(a); iBOT, Zhou et al., ICLR 2022).

    The student sees the images with random patches masked, the EMA teacher sees them whole. With student tokens
    :math:`\hat z_i`, teacher tokens :math:`u_i`, prototypes :math:`P` and their EMA :math:`P'`, over masked i only,

    .. math:: L_{MIM} = -\frac{1}{n} \sum_i \mathrm{softmax}\big((P' u_i - c) / \tau_t\big)^T
              \log \mathrm{softmax}(P \hat z_i / \tau_s), \quad
              c \leftarrow m_c\,c + (1 - m_c)\,\overline{P' u}

    The centre's mean runs over all tokens of the images of all processes. Deviations from iBOT, of which the R-SC paper
    says no more than "masked image modeling objective" and "EMA": the head is its last layer alone, on the CLIP
    embeddings, as L_SCD acts on them, without the MLP before; a masked patch is 0 in the normalised image, which the
    patch embedding turns into its bias, a fixed mask token, since a trained one would be a new parameter of the tower;
    a fixed share of single patches instead of blocks of a random share; one view, no class-token term, whose place
    alignment takes; fixed temperatures and momentum, no warm-up. Padding of the canvas counts as image.

    Two processes with equally many images give the gradient of the joint batch.

    Args:
        backbone: the student's tower, from which the EMA teacher is made.
        num_prototypes: rows of P; the default is iBOT's.
        mask_ratio: share of the patches that is masked, in (0, 1].
        tau_s: temperature of the student.
        tau_t: temperature of the teacher, lower: sharpening.
        centre_momentum: m_c.
        momentum: of teacher and prototypes, see `EMATower`.
        loss_weight: the paper gives none; that of L_SCD.

    Raises:
        ValueError: a field is out of its range.
    """

    def __init__(self, backbone: nn.Module, num_prototypes: int = 8192, mask_ratio: float = 0.3, tau_s: float = 0.1,
                 tau_t: float = 0.04, centre_momentum: float = 0.9, momentum: float = 0.999,
                 loss_weight: float = 0.2) -> None:
        super().__init__()
        if not 0 < mask_ratio <= 1:
            raise ValueError(f"MaskedModelling field 'mask_ratio': found {mask_ratio}, expected 0 < mask_ratio <= 1")
        self.ema = EMATower(backbone, momentum)
        self.prototypes = Prototypes(backbone.embed_dim, num_prototypes, bias=False)
        self.ema_prototypes = ExponentialMovingAverage(self.prototypes, momentum=1 - momentum)
        self.register_buffer('centre', torch.zeros(num_prototypes))
        self.mask_ratio = mask_ratio
        self.tau_s = tau_s
        self.tau_t = tau_t
        self.centre_momentum = centre_momentum
        self.loss_weight = loss_weight

    def forward(self, student: nn.Module, teacher: nn.Module, images: torch.Tensor, maps: StudentMaps,
                boxes: list[torch.Tensor], crops: torch.Tensor | None) -> torch.Tensor:
        """The weighted loss; EMA teacher and prototypes follow the student first.

        Args:
            student: the tower in training, which runs once more, on the masked images.
            teacher: not used.
            images: (B, 3, H, W).
            maps: not used.
            boxes: not used.
            crops: not used.

        Returns:
            Scalar; 0 with a gradient graph without images.
        """
        self.ema.update_parameters(student)
        self.ema_prototypes.update_parameters(self.prototypes)
        h, w = grid_shape(images.shape[2:], student.patch_size)
        patches = random_patches(len(images), h * w, self.mask_ratio).to(images.device)  # (B, n)
        with torch.no_grad():
            target = self.ema.module.encode_dense(images).flatten(2).transpose(1, 2)  # (B, N, D)
        masked = student.encode_dense(hide(images, patches, student.patch_size)).flatten(2).transpose(1, 2)  # (B, N, D)
        return self.loss_weight * mean_over_regions(self.cross_entropy(masked, target, patches))

    @full_precision
    def cross_entropy(self, student: torch.Tensor, target: torch.Tensor, patches: torch.Tensor) -> torch.Tensor:
        """The cross-entropy of every image, the mean over its masked patches; the centre moves afterwards.

        Args:
            student: unit tokens of the masked images (B, N, D).
            target: the EMA teacher's unit tokens (B, N, D).
            patches: the masked ones (B, n).

        Returns:
            (B,).
        """
        index = patches[..., None].expand(-1, -1, student.shape[2])  # (B, n, D)
        with torch.no_grad():
            labels = ((self.ema_prototypes(target.gather(1, index)) - self.centre) / self.tau_t).softmax(2)
            self._move_centre(self.ema_prototypes(target.mean(1)))  # linear: the mean of all tokens' logits
        scores = (self.prototypes(student.gather(1, index)) / self.tau_s).log_softmax(2)  # (B, n, P)
        return -(labels * scores).sum(2).mean(1)

    def _move_centre(self, logits: torch.Tensor) -> None:
        """Towards the mean of (B, P) over the images of all processes."""
        total = torch.cat([logits.sum(0), logits.new_tensor([len(logits)])])  # (P+1,)
        all_reduce(total)
        if total[-1] > 0:
            self.centre.lerp_(total[:-1] / total[-1], 1 - self.centre_momentum)
