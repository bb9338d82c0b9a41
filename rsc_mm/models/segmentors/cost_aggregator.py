from collections.abc import Sequence

import torch
from timm.layers import to_2tuple
from torch import nn
from torch.nn import functional as F

from rsc_mm.utils.precision import full_precision

from .class_aggregation import ClassAggregation
from .guided_decoder import GuidedDecoder
from .spatial_aggregation import SpatialAggregation

NOT_SELECTED = -100.  # the logit of the classes beyond the pad_len best of an image


class CostAggregator(nn.Module):
    r"""Cosines of dense and text features to class logits (CAT-Seg, Cho et al., CVPR 2024, sec. 3.3 to 3.5).

    .. math:: C(i, c) = \frac{D(i) \cdot E(c)}{\|D(i)\|\,\|E(c)\|} \to \mathrm{Conv}_{7\times7} \to
              (\text{spatial} \to \text{class aggregation})^{L} \to \text{decoder}

    The order of the classes does not matter: permuted text features give permuted logits. A vocabulary longer than
    ``pad_len`` is cut, for each image alone, to the pad_len classes of the highest cosine anywhere in it; the logits
    of all others are -100.

    Args:
        text_dim: size D of the text features.
        text_proj_dim: channels of the projected text guidance.
        appearance_dim: channels of the appearance guidance.
        appearance_proj_dim: its channels after projection.
        decoder_dims: output channels of the decoder's two steps.
        decoder_guidance_dims: channels of the decoder's two guidance maps.
        decoder_guidance_proj_dims: their channels after projection.
        num_layers: layers L of aggregation.
        num_heads: attention heads.
        hidden_dim: width C of the cost embedding.
        pooling_size: pooling before class aggregation, in tokens: (2, 2) in training and (1, 1) at test in the paper.
        feature_resolution: native grid (h, w), to which CAT-Seg brings its images; other grids work too.
        window_size: side of the windows of spatial aggregation, in tokens.
        prompt_channel: number P of prompts for each class.
        pad_len: number of classes that class aggregation attends over; 0 takes every vocabulary as it is.

    Raises:
        ValueError: widths do not fit together.
    """

    def __init__(self, text_dim: int = 512, text_proj_dim: int = 128, appearance_dim: int = 512,
                 appearance_proj_dim: int = 128, decoder_dims: Sequence[int] = (64, 32),
                 decoder_guidance_dims: Sequence[int] = (256, 128),
                 decoder_guidance_proj_dims: Sequence[int] = (32, 16), num_layers: int = 2, num_heads: int = 4,
                 hidden_dim: int = 128, pooling_size: int | Sequence[int] = (2, 2),
                 feature_resolution: int | Sequence[int] = (24, 24), window_size: int = 12, prompt_channel: int = 1,
                 pad_len: int = 256) -> None:
        super().__init__()
        if hidden_dim % num_heads:
            raise ValueError(f"CostAggregator field 'hidden_dim': found {hidden_dim}, expected a multiple of "
                             f"'num_heads', {num_heads}")
        self.pooling_size = to_2tuple(pooling_size)
        self.feature_resolution = to_2tuple(feature_resolution)
        self.pad_len = pad_len
        self.cost_embedding = nn.Conv2d(prompt_channel, hidden_dim, kernel_size=7, padding=3)
        self.appearance_projection = nn.Conv2d(appearance_dim, appearance_proj_dim, kernel_size=3, padding=1)
        self.text_projection = nn.Linear(text_dim, text_proj_dim)
        self.decoder_projections = nn.ModuleList(
            nn.Conv2d(dim, out, kernel_size=3, padding=1)
            for dim, out in zip(decoder_guidance_dims, decoder_guidance_proj_dims))
        self.spatial_layers = nn.ModuleList(SpatialAggregation(hidden_dim, appearance_proj_dim, num_heads, window_size)
                                            for _ in range(num_layers))
        self.class_layers = nn.ModuleList(ClassAggregation(hidden_dim, text_proj_dim, num_heads, pad_len)
                                          for _ in range(num_layers))
        self.decoder = GuidedDecoder(hidden_dim, decoder_dims, decoder_guidance_proj_dims)

    def forward(self, image_features: torch.Tensor, text_features: torch.Tensor, guidance: Sequence[torch.Tensor],
                pooling_size: int | Sequence[int] | None = None,
                chunk_size: int | None = None) -> torch.Tensor:
        """Logits of every class.

        Args:
            image_features: dense features (B, D, h, w), of any length.
            text_features: (B, T, P, D), of any length.
            guidance: the appearance (B, A, h, w) and the decoder's maps (B, G1, 2h, 2w) and (B, G2, 4h, 4w).
            pooling_size: another pooling than the field's.
            chunk_size: classes (and in class aggregation as many maps' worth of locations) computed at a time, which
                bounds the memory and changes nothing else; None: all at once.

        Returns:
            (B, T, 4h, 4w).
        """
        cost = correlation(image_features, text_features)  # (B, T, P, h, w)
        total = cost.shape[1]
        chosen = top_classes(cost, self.pad_len) if 0 < self.pad_len < total else None
        if chosen is not None:
            cost = take_classes(cost, chosen)
            text_features = take_classes(F.normalize(text_features, dim=-1), chosen)
        appearance = F.relu(self.appearance_projection(guidance[0])).permute(0, 2, 3, 1)  # (B, h, w, A')
        text = F.relu(self.text_projection(F.normalize(text_features.mean(dim=2), dim=-1)))  # (B, T, G)
        finer = [F.relu(projection(x)) for projection, x in zip(self.decoder_projections, guidance[1:])]
        x = self._aggregate(cost, appearance, text, to_2tuple(pooling_size or self.pooling_size),
                            chunk_size)
        logits = torch.cat([self.decoder(part, finer) for part in _chunks(x, chunk_size)], dim=1)  # (B, T, 4h, 4w)
        return logits if chosen is None else spread_classes(logits, chosen, total)

    def _aggregate(self, cost: torch.Tensor, appearance: torch.Tensor, text: torch.Tensor,
                   pooling_size: tuple[int, int], chunk_size: int | None) -> torch.Tensor:
        """(B, T, P, h, w) -> (B, T, h, w, C)."""
        x = torch.cat([self._embed(part) for part in _chunks(cost, chunk_size)], dim=1)  # (B, T, h, w, C)
        # As many tokens at a time as chunk_size classes have.
        locations = chunk_size and max(1, chunk_size * x.shape[2] * x.shape[3] // x.shape[1])
        for spatial, classes in zip(self.spatial_layers, self.class_layers):
            x = torch.cat([spatial(part, appearance) for part in _chunks(x, chunk_size)], dim=1)  # (B, T, h, w, C)
            x = classes(x, text, pooling_size, locations)
        return x

    def _embed(self, cost: torch.Tensor) -> torch.Tensor:
        cost = cost.to(self.cost_embedding.weight)  # float32 so far, also in a model of half precision
        maps = self.cost_embedding(cost.flatten(0, 1))  # (B*T, C, h, w)
        return maps.unflatten(0, cost.shape[:2]).permute(0, 1, 3, 4, 2)  # (B, T, h, w, C)


@full_precision
def correlation(image_features: torch.Tensor, text_features: torch.Tensor) -> torch.Tensor:
    """Cosine of every location with every prompt of every class (CAT-Seg, eq. 1), in float32.

    Args:
        image_features: (B, D, h, w).
        text_features: (B, T, P, D).

    Returns:
        (B, T, P, h, w).
    """
    image, text = F.normalize(image_features, dim=1), F.normalize(text_features, dim=-1)
    return torch.einsum('bdhw,btpd->btphw', image, text)


def top_classes(cost: torch.Tensor, count: int) -> torch.Tensor:
    """The classes of the highest cosine at any location with any prompt, for each image alone.

    Args:
        cost: (B, T, P, h, w).
        count: number K of classes.

    Returns:
        (B, K) class numbers, in no particular order.
    """
    return cost.flatten(2).amax(dim=2).topk(count, dim=1, sorted=False).indices


def take_classes(x: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """The entries of each image's own classes.

    Args:
        x: (B, T, ...).
        chosen: (B, K).

    Returns:
        (B, K, ...).
    """
    return x[torch.arange(len(x), device=x.device)[:, None], chosen]


def spread_classes(logits: torch.Tensor, chosen: torch.Tensor, total: int) -> torch.Tensor:
    """Logits of the chosen classes at their places among all; -100 for the others.

    Args:
        logits: (B, K, H, W).
        chosen: (B, K).
        total: number T of all classes.

    Returns:
        (B, T, H, W).
    """
    everything = logits.new_full((len(logits), total, *logits.shape[2:]), NOT_SELECTED)
    return everything.scatter(1, chosen[:, :, None, None].expand_as(logits), logits)


def _chunks(x: torch.Tensor, size: int | None) -> tuple[torch.Tensor, ...]:
    """Along the classes."""
    return x.split(size or x.shape[1], dim=1)
