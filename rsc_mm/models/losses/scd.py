import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from rsc_mm.registry import MODELS
from rsc_mm.utils.precision import full_precision
from rsc_mm.utils.regions import grid_shape, region_tokens

from .region_alignment import mean_over_regions


def cross_entropy(student: torch.Tensor, target: torch.Tensor, tau_s: float, tau_t: float) -> torch.Tensor:
    r"""Mean over the rows of :math:`H(\mathrm{softmax}(C^t / \tau_t), \mathrm{softmax}(C^s / \tau_s))` (R-SC, eq. 4-5).

    Args:
        student: correlations (K, L, L).
        target: correlations (K, L, L).
        tau_s: temperature of the student.
        tau_t: temperature of the target.

    Returns:
        (K,).
    """
    rows = (target / tau_t).softmax(dim=2) * (student / tau_s).log_softmax(dim=2)  # (K, L, L)
    return -rows.sum(2).mean(1)


def frobenius(student: torch.Tensor, target: torch.Tensor, tau_s: float, tau_t: float) -> torch.Tensor:
    r""":math:`\|C^s - C^t\|_F^2 / L^2`, the paper's L_F (sec. 4.5), without a softmax.

    Args:
        student: correlations (K, L, L).
        target: correlations (K, L, L).
        tau_s: not used.
        tau_t: not used.

    Returns:
        (K,).
    """
    return (student - target).square().flatten(1).mean(1)


DISTANCES = {'cross_entropy': cross_entropy, 'frobenius': frobenius}
SCOPES = ('region', 'image', 'inter_instance')


@MODELS.register_module()
class SCDLoss(nn.Module):
    r"""Spatial Correlation Distillation (Qiu et al., ICLR 2025, eq. 2-5).

    .. math:: C_i = Z_i Z_i^T, \quad L = \frac{\lambda}{K L} \sum_{i,j}
              H\big(\mathrm{softmax}(C^t_{i,j} / \tau_t),\; \mathrm{softmax}(C^s_{i,j} / \tau_s)\big)

    The target's rows are the labels: :math:`H(p, q) = -\sum_k p_k \log q_k`. With equal temperatures and features the
    loss is at its minimum, the entropy of the target's own rows, not 0. Not said in the paper and chosen here: tokens
    are L2-normalised (temperatures of 0.2 suit cosines) and a region has 7 x 7 tokens. Invariant to one orthogonal map
    of the embedding space of either argument, so it leaves alignment with the text free. Correlations and softmax are
    float32 whatever the autocast. The target is detached by the caller.

    Memory: ``chunk_size`` regions at a time, whose correlations are recomputed in the backward pass, so that the peak
    grows with the chunk and not with K.

    Args:
        tau_s: temperature of the student's rows.
        tau_t: temperature of the target's rows.
        loss_weight: lambda; the paper's 0.2 for ViT-B, 0.4 for ViT-L.
        normalise: divide the tokens by their L2 norms.
        distance: 'cross_entropy', or 'frobenius' (the ablation L_F).
        scope: 'region'; 'image' (the whole image as the one region, table 14: its own extent without the padding, on a
            grid as fine as the student's map); 'inter_instance' (correlations among the pooled regions of this process
            instead of within each, the ablation L_Inter).
        region_size: side of the region grid, L = region_size^2; not used for 'image'.
        chunk_size: regions at a time.

    Raises:
        ValueError: a field is out of its range.

    Examples:
        >>> loss = SCDLoss(loss_weight=1.)
        >>> target = torch.eye(49)[None]  # (K, L, D): no token is like another
        >>> bool(loss(target, target) < loss(torch.ones(1, 49, 8), target))
        True
    """

    def __init__(self, tau_s: float = 0.2, tau_t: float = 0.2, loss_weight: float = 0.2, normalise: bool = True,
                 distance: str = 'cross_entropy', scope: str = 'region', region_size: int = 7,
                 chunk_size: int = 64) -> None:
        super().__init__()
        for field, value in dict(tau_s=tau_s, tau_t=tau_t, region_size=region_size, chunk_size=chunk_size).items():
            if value <= 0:
                raise ValueError(f"SCDLoss field '{field}': found {value}, expected a positive number")
        for field, value, choices in (('distance', distance, DISTANCES), ('scope', scope, SCOPES)):
            if value not in choices:
                raise ValueError(f"SCDLoss field '{field}': found {value!r}, expected one of {sorted(choices)}")
        self.tau_s = tau_s
        self.tau_t = tau_t
        self.loss_weight = loss_weight
        self.normalise = normalise
        self.distance = distance
        self.scope = scope
        self.region_size = region_size
        self.chunk_size = chunk_size

    @full_precision
    def forward(self, student: torch.Tensor | list[torch.Tensor],
                target: torch.Tensor | list[torch.Tensor]) -> torch.Tensor:
        """The loss on region tokens.

        Args:
            student: tokens (K, L, D), or a list of such tensors that differ in L.
            target: tokens (K, L, D') of any embedding size, or such a list.

        Returns:
            Scalar; 0 with a gradient graph if K = 0.

        Raises:
            ValueError: the numbers of regions or tokens differ.
        """
        student, target = ([z] if isinstance(z, torch.Tensor) else z for z in (student, target))
        values = [value for pair in zip(student, target, strict=True) for value in self._chunks(*pair)]
        return self.loss_weight * mean_over_regions(torch.cat(values))

    @full_precision
    def against(self, student: torch.Tensor, correlations: torch.Tensor) -> torch.Tensor:
        """The loss where the target's correlations are there already, for scope 'region'.

        Args:
            student: tokens (K, L, D).
            correlations: of the target (K, L, L).

        Returns:
            Scalar; 0 with a gradient graph if K = 0.
        """
        chunks = zip(student.split(self.chunk_size), correlations.split(self.chunk_size))
        values = [checkpoint(self._distance, *chunk, use_reentrant=False) for chunk in chunks]
        return self.loss_weight * mean_over_regions(torch.cat(values))

    @full_precision
    def correlations(self, tokens: torch.Tensor) -> torch.Tensor:
        """Equation 2.

        Args:
            tokens: (K, L, D).

        Returns:
            (K, L, L).
        """
        tokens = F.normalize(tokens, dim=2) if self.normalise else tokens
        return tokens @ tokens.transpose(1, 2)

    def from_maps(self, student: torch.Tensor, target: torch.Tensor, boxes: list[torch.Tensor],
                  patch_size: int) -> torch.Tensor:
        """The loss on whole maps, RoIAligned to the region grid (eq. 2).

        Args:
            student: map (B, D, h, w).
            target: map (B, D', h, w).
            boxes: for each image (K_i, 4) in network pixels.
            patch_size: network pixels of one grid cell.

        Returns:
            Scalar. The maps count as a whole where scope is 'image'.
        """
        whole = (student.shape[2] * patch_size, student.shape[3] * patch_size)
        parts = self.parts(boxes, [whole] * len(student), patch_size)
        return self(*([region_tokens(dense[images], rows, patch_size, size) for images, rows, size in parts]
                      for dense in (student, target)))

    def parts(self, boxes: list[torch.Tensor], shapes: list[tuple[int, int]],
              patch_size: int) -> list[tuple[slice, list[torch.Tensor], int | tuple[int, int]]]:
        """The regions whose correlations are compared: one part with all boxes, for scope 'image' one part an image.

        Args:
            boxes: for each image (K_i, 4) in network pixels.
            shapes: height and width of each image in network pixels, without the padding.
            patch_size: the student's.

        Returns:
            For each part the images of the batch that it takes, their boxes, and the region grid.
        """
        if self.scope != 'image':
            return [(slice(None), boxes, self.region_size)]
        parts = [(slice(i, i + 1), [box.new_tensor([[0, 0, width, height]])], grid_shape((height, width), patch_size))
                 for i, (box, (height, width)) in enumerate(zip(boxes, shapes, strict=True))]
        return parts or [(slice(0), [], 1)]  # no image: no region, but a gradient graph

    def _chunks(self, student: torch.Tensor, target: torch.Tensor) -> list[torch.Tensor]:
        """The values of (K, L, D) tokens, in chunks."""
        if student.shape[:2] != target.shape[:2]:
            raise ValueError(f'SCDLoss: found student tokens {tuple(student.shape)} and target tokens '
                             f'{tuple(target.shape)}, expected the same regions K and tokens L in (K, L, D)')
        if self.scope == 'inter_instance':  # one set of K tokens instead of K sets
            sets = min(1, len(student))  # none without regions
            student, target = student.mean(1)[None][:sets], target.mean(1)[None][:sets]  # (1, K, D)
        chunks = zip(student.split(self.chunk_size), target.split(self.chunk_size))
        return [checkpoint(self._values, *chunk, use_reentrant=False) for chunk in chunks]

    def _values(self, student: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return self._distance(student, self.correlations(target))

    def _distance(self, student: torch.Tensor, correlations: torch.Tensor) -> torch.Tensor:
        return DISTANCES[self.distance](self.correlations(student), correlations, self.tau_s, self.tau_t)
