import torch
from mmengine.dist import all_reduce
from torch import nn
from torch.nn import functional as F

from rsc_mm.registry import MODELS
from rsc_mm.utils.precision import full_precision


def mean_over_regions(values: torch.Tensor) -> torch.Tensor:
    r"""The mean over the regions of all processes, scaled so that DDP's averaged gradient is that of the joint batch.

    With W processes that hold :math:`K_r` values each: :math:`\frac{W}{\sum_r K_r} \sum_k v_k`. DDP then averages
    over r. No region anywhere gives 0 with a gradient graph.

    Args:
        values: (K,), one for each region of this process; K may be 0.

    Returns:
        Scalar.
    """
    count = torch.full((), float(len(values)), device=values.device)
    all_reduce(count, op='mean')
    return values.sum() / count.clamp(min=1e-6)  # no branch on the number: a GPU would have to be waited for


@MODELS.register_module()
class RegionAlignmentLoss(nn.Module):
    r"""Cosine distance of regions and their image crops (CLIPSelf, sec. 3.2).

    .. math:: L = 1 - \frac{1}{K} \sum_k \cos(z_k, t_k)

    Invariant to the scale of either argument. Float32 whatever the autocast. The target is detached by the caller.
    """

    @full_precision
    def forward(self, student: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """The loss.

        Args:
            student: region features (K, D).
            target: crop embeddings of the frozen teacher (K, D).

        Returns:
            Scalar; 0 with a gradient graph if K = 0.
        """
        return mean_over_regions(1 - F.cosine_similarity(student, target, dim=1))


@MODELS.register_module()
class RegionTextLoss(nn.Module):
    r"""Binary cross-entropy of regions and nouns (RegionCLIP as CLIPSelf's baseline runs it, appendix A.4).

    .. math:: L = \frac{1}{K} \sum_k \sum_{t \in S} \mathrm{BCE}\big(\sigma(s\, z_k \cdot e_t),\, [t = y_k]\big)

    S holds the nouns that occur in the batch, over all processes, topped up at random to ``num_classes``.

    Args:
        logit_scale: s, the exponential of CLIP's own, not trained.
        num_classes: size of S.
    """

    def __init__(self, logit_scale: float = 100., num_classes: int = 100) -> None:
        super().__init__()
        self.logit_scale = logit_scale
        self.num_classes = num_classes

    @full_precision
    def forward(self, regions: torch.Tensor, labels: torch.Tensor, embeddings: torch.Tensor,
                seed: int = 0) -> torch.Tensor:
        """The loss.

        Args:
            regions: region features (K, D).
            labels: the noun of each region (K,), in 0..T-1.
            embeddings: unit noun embeddings (T, D).
            seed: of the random nouns in S; the same on all processes.

        Returns:
            Scalar; 0 with a gradient graph if K = 0.
        """
        classes = self.sample_classes(labels, len(embeddings), seed)
        logits = self.logit_scale * regions @ embeddings[classes].to(regions).t()  # (K, |S|)
        targets = (labels[:, None] == classes[None]).to(logits)  # (K, |S|)
        return mean_over_regions(F.binary_cross_entropy_with_logits(logits, targets, reduction='none').sum(1))

    def sample_classes(self, labels: torch.Tensor, num_nouns: int, seed: int) -> torch.Tensor:
        """S: the nouns present, then random others, ascending.

        Args:
            labels: (K,) of this process.
            num_nouns: T.
            seed: of the random nouns.

        Returns:
            (min(T, max(num_classes, nouns present)),).
        """
        present = torch.zeros(num_nouns, device=labels.device)
        present[labels] = 1
        all_reduce(present, op='max')
        # A noun that is present outranks every random one.
        rank = present.cpu() + torch.rand(num_nouns, generator=torch.Generator().manual_seed(seed))
        size = min(num_nouns, max(self.num_classes, int(present.sum())))
        return rank.topk(size).indices.sort().values.to(labels.device)
