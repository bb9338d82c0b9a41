from collections.abc import Sequence

import torch
from mmengine.structures import PixelData
from torch import nn
from torch.nn import functional as F

from rsc_mm.models.losses.region_alignment import mean_over_regions
from rsc_mm.registry import MODELS
from rsc_mm.utils.precision import full_precision

from .codebook import Codebook
from .crf import DenseCRF
from .step import CAUSEStep, concept_head


@MODELS.register_module()
class ClusterStep(CAUSEStep):
    """Step 3 and the test: as many clusters as classes, by the modularity of the head's output, and a linear probe.

    The head is frozen and in eval mode. The linear probe, a yardstick with labels, shares nothing with the clusters:
    they would be the same without it. At test the head's outputs of image and mirror image are averaged and resized to
    the network's pixels; the cluster of a pixel has the greatest cosine.

    Args:
        head: as in `SegmentHeadStep`.
        num_classes: T, of the linear probe and of the clusters.
        crf: fields of `DenseCRF`; None: no CRF.
        score_scale: of the cosines before the CRF's softmax.
        ignore_index: label of pixels without a class.
        **kwargs: see `CAUSEStep`.
    """

    started_parts = ('codebook', 'head')

    def __init__(self, head: dict, num_classes: int, crf: dict | None = None, score_scale: float = 3.,
                 ignore_index: int = 255, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.codebook.requires_grad_(False)
        self.head = concept_head(head, self.backbone).requires_grad_(False)
        self.clusters = Codebook(num_classes, self.head.out_channels)
        self.linear = nn.Linear(self.head.out_channels, num_classes)
        self.crf = None if crf is None else DenseCRF(**crf)
        self.score_scale = score_scale
        self.ignore_index = ignore_index

    def train(self, mode: bool = True) -> 'ClusterStep':
        """Training mode, except for the head.

        Args:
            mode: True for training.
        """
        super().train(mode)
        self.head.eval()
        return self

    def loss(self, inputs: torch.Tensor, data_samples: Sequence) -> dict[str, torch.Tensor]:
        """``loss_modularity`` of the clusters and ``loss_linear`` of the probe.

        Args:
            inputs: normalised images (B, 3, H, W).
            data_samples: with ``gt_sem_seg`` of the same size, for the probe.
        """
        reduced = self.reduced(inputs)
        labels = torch.cat([sample.gt_sem_seg.data for sample in data_samples]).long()  # (B, H, W)
        logits = self.linear(reduced.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)  # (B, T, h, w)
        return {'loss_modularity': self.clusters.loss(reduced.flatten(2).transpose(1, 2)),  # (B, N, 90)
                'loss_linear': probe_loss(logits, labels, self.ignore_index)}

    @torch.no_grad()
    def reduced(self, inputs: torch.Tensor) -> torch.Tensor:
        """The head's output (B, 90, h, w), without gradient.

        Args:
            inputs: normalised images (B, 3, H, W).
        """
        tokens, codes, grid = self.tokens(inputs)
        reduced = self.head(tokens, self.codebook.weight[codes])  # (B, N, 90)
        return reduced.transpose(1, 2).unflatten(2, grid).float()  # (B, 90, h, w)

    def encode_decode(self, inputs: torch.Tensor, batch_data_samples: Sequence | None = None) -> torch.Tensor:
        """Cosines of the clusters with every pixel.

        Args:
            inputs: normalised images (B, 3, H, W).
            batch_data_samples: not used.

        Returns:
            (B, T, H, W).
        """
        return self.clusters(self._pixels(inputs)).permute(0, 3, 1, 2)  # (B, T, H, W)

    def predict(self, inputs: torch.Tensor, data_samples: Sequence | None = None) -> list:
        """Adds ``pred_sem_seg``, the clusters; ``pred_linear``, the probe's classes; with a CRF ``pred_crf``.

        Args:
            inputs: normalised images (B, 3, H, W).
            data_samples: B samples.

        Returns:
            The samples; all three are (1, H, W) in the network's pixels, where the protocol evaluates.
        """
        pixels = self._pixels(inputs)
        cosines = self.clusters(pixels)  # (B, H, W, T)
        classes = self.linear(pixels).argmax(3)
        images = self._colours(inputs) if self.crf else None
        for i, sample in enumerate(data_samples):
            sample.pred_sem_seg = PixelData(data=cosines[i].argmax(2)[None])
            sample.pred_linear = PixelData(data=classes[i][None])
            if self.crf:
                scores = (self.score_scale * cosines[i]).log_softmax(2).permute(2, 0, 1)  # (T, H, W)
                sample.pred_crf = PixelData(data=self.crf(scores, images[i])[None])
        return list(data_samples)

    def _pixels(self, inputs: torch.Tensor) -> torch.Tensor:
        """The head's output at every pixel (B, H, W, 90), the mean over image and mirror image."""
        reduced = (self.reduced(inputs) + self.reduced(inputs.flip(3)).flip(3)) / 2
        size = tuple(inputs.shape[2:])
        return F.interpolate(reduced, size, mode='bilinear', align_corners=False).permute(0, 2, 3, 1)  # (B, H, W, 90)

    def _colours(self, inputs: torch.Tensor) -> torch.Tensor:
        """The images (B, 3, H, W) uint8, as the preprocessor got them, in the tower's order of colours: RGB."""
        pixels = inputs * self.data_preprocessor.std + self.data_preprocessor.mean
        return pixels.round().clamp(0, 255).byte()


@full_precision
def probe_loss(logits: torch.Tensor, labels: torch.Tensor, ignore_index: int) -> torch.Tensor:
    """Cross-entropy over the annotated pixels of all processes, of logits resized to the labels.

    Args:
        logits: (B, T, h, w).
        labels: (B, H, W).
        ignore_index: label of pixels that do not count.

    Returns:
        Scalar; 0 with a gradient graph without annotated pixels.
    """
    logits = F.interpolate(logits, labels.shape[1:], mode='bilinear', align_corners=False)
    values = F.cross_entropy(logits, labels, ignore_index=ignore_index, reduction='none')
    return mean_over_regions(values[labels != ignore_index])
