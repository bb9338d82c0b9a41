"""Class-agnostic training of a ViT on masks: does a patch show the same segment as the prompted one?"""
import math

import torch
from mmengine.model import BaseModel
from mmengine.structures import BaseDataElement
from timm.models.vision_transformer import VisionTransformer
from torch import nn
from torch.nn import functional as F

from rsc_mm.models.backbones.networks import build_vit
from rsc_mm.registry import MODELS
from rsc_mm.utils.precision import full_precision


@MODELS.register_module()
class SegmentTrainer(BaseModel):
    r"""A ViT that learns to segment what a point prompt points at, without classes, as SAM does.

    Every patch i is a prompt once; its mask is read from the cosines of the tokens alone, without a decoder:

    .. math:: p_{ij} = \sigma(s \cos(z_i, z_j) + b), \quad y_{ij} = m_i^T m_j, \quad n_{ij} = a_i a_j - y_{ij}

    .. math:: L = -\frac{1}{\sum_i a_i} \sum_i \frac{a_i}{2} \Big(\frac{\sum_j y_{ij} \log p_{ij}}{\sum_j y_{ij}}
              + \frac{\sum_j n_{ij} \log (1 - p_{ij})}{\sum_j n_{ij}}\Big), \quad j \ne i

    :math:`m_i` holds the shares of patch i that each segment covers, :math:`a_i` their sum, 1 unless some of it is
    padding or unlabelled. So :math:`y_{ij}` is the chance that a pixel of i and one of j lie in one segment: binary
    cross-entropy over all pairs of pixels, prompted segment and rest counting half each, small segments as much as
    large ones. s and b are learned (as SigLIP's) and start at 10 and -5.

    Args:
        arch: arguments of timm's ``VisionTransformer``.
        data_preprocessor: ``dict(type='RegionPreprocessor')`` of the same patch.
    """

    def __init__(self, arch: dict, data_preprocessor: dict) -> None:
        super().__init__(MODELS.build(data_preprocessor))
        self.vit = build_vit(VisionTransformer, arch, {})
        self.log_scale = nn.Parameter(torch.tensor(math.log(10.)))
        self.bias = nn.Parameter(torch.tensor(-5.))

    def forward(self, images: torch.Tensor, boxes: list[torch.Tensor], crops: None, masks: list[torch.Tensor],
                data_samples: list[BaseDataElement], mode: str = 'tensor') -> torch.Tensor | dict[str, torch.Tensor]:
        """MMEngine's entry: the loss for 'loss', else the tokens (B, N, C).

        Args:
            images: normalised images (B, 3, H, W).
            boxes: not used.
            crops: not used.
            masks: not used, since they say only which patches a segment touches.
            data_samples: B data samples with ``masks`` (K_i, H_i, W_i) of the image files.
            mode: as MMEngine's loops set it.
        """
        tokens = self.vit.forward_features(images)[:, self.vit.num_prefix_tokens:]  # (B, N, C)
        if mode != 'loss':
            return tokens
        patch = self.vit.patch_embed.patch_size[0]
        shares = [segment_shares(sample.masks, sample.img_shape, images.shape[2:], patch) for sample in data_samples]
        shares = nn.utils.rnn.pad_sequence(shares, batch_first=True).transpose(1, 2)  # (B, N, K)
        return {'loss_segments': segment_loss(tokens, shares.to(tokens.device), self.log_scale.exp(), self.bias)}


def segment_shares(masks: torch.Tensor, shape: tuple[int, int], canvas: tuple[int, int], patch: int) -> torch.Tensor:
    """The share of every patch that each segment covers.

    Args:
        masks: of the image file (K, H, W), 0 or 1.
        shape: height and width of the resized image.
        canvas: the same with padding right and below, multiples of the patch.
        patch: side of a patch in pixels.

    Returns:
        (K, N), 0..1.
    """
    masks = F.interpolate(masks[None].float(), shape, mode='area')[0]  # (K, *shape)
    masks = F.pad(masks, (0, canvas[1] - shape[1], 0, canvas[0] - shape[0]))
    return F.avg_pool2d(masks, patch).flatten(1)  # (K, N)


@full_precision
def segment_loss(tokens: torch.Tensor, shares: torch.Tensor, scale: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """The loss of `SegmentTrainer`.

    Args:
        tokens: z (B, N, C).
        shares: m (B, N, K).
        scale: s.
        bias: b.

    Returns:
        Scalar.
    """
    unit = F.normalize(tokens, dim=2)
    logits = scale * unit @ unit.transpose(1, 2) + bias  # (B, N, N)
    area = shares.sum(2)  # (B, N)
    others = 1 - torch.eye(tokens.shape[1], device=tokens.device)
    same = shares @ shares.transpose(1, 2) * others
    different = (area[:, :, None] * area[:, None] * others - same).clamp(min=0)
    prompts = sum((weights * F.softplus(signed)).sum(2) / weights.sum(2).clamp(min=1e-6) / 2
                  for weights, signed in ((same, -logits), (different, logits)))  # (B, N)
    return (area * prompts).sum() / area.sum()
