"""A vision tower of LLaVA-1.5 around any tower of rsc_mm: EVA-02-CLIP, or the tokens of a dense readout.

LLaVA asks a tower for ``load_model``, ``is_loaded``, ``image_processor``, ``forward`` and a few sizes; README.md says
which line of LLaVA builds it.
"""
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

import rsc_mm
from rsc_mm.models.backbones import ViTTower

# What the language model reads: LLaVA's own layer, the readout's tokens, or the dense embeddings in CLIP's space.
FEATURES = ('penultimate', 'readout', 'embedding')


class DenseCLIPTower(nn.Module):
    """LLaVA's vision tower on a published tower of rsc_mm.

    Args:
        source: file or folder that tools/converters/publish_backbone.py wrote.
        features: 'penultimate', the tokens after the last but one block, as LLaVA reads CLIP's; 'readout', the tokens
            after the dense readout, before norm and head; 'embedding', the dense embeddings, not normalised.
        image_size: side of the square images in pixels; default: the tower's native side.
        delay_load: leave the weights to `load_model`.

    Raises:
        ValueError: ``features`` is none of these.
    """

    def __init__(self, source: str | Path, features: str = 'penultimate', image_size: int | None = None,
                 delay_load: bool = False) -> None:
        super().__init__()
        if features not in FEATURES:
            raise ValueError(f"DenseCLIPTower field 'features': found {features!r}, expected one of {FEATURES}")
        self.source = source
        self.features = features
        self.image_size = image_size
        self.tower: ViTTower | None = None
        if not delay_load:
            self.load_model()

    @property
    def is_loaded(self) -> bool:
        """Whether the weights are there."""
        return self.tower is not None

    def load_model(self, device_map: str | None = None) -> None:
        """Load the tower, frozen.

        Args:
            device_map: a device, as LLaVA passes it; None: the CPU.
        """
        if self.is_loaded:
            return
        model = rsc_mm.load(self.source, device=device_map or 'cpu')
        self.tower = model.tower
        side = self.image_size or self.tower.image_size
        self.image_size = -(-side // self.tower.patch_size) * self.tower.patch_size
        std = 1 / (255 * model.preprocessor.scale.flatten())  # the preprocessor holds pixels * scale + shift
        mean = -model.preprocessor.shift.flatten() * std
        self.image_processor = SquareImageProcessor(self.image_size, tuple(mean.tolist()), tuple(std.tolist()))

    @torch.no_grad()
    def forward(self, images: torch.Tensor | list[torch.Tensor]) -> torch.Tensor | list[torch.Tensor]:
        """Patch tokens for the projector.

        Args:
            images: normalised (B, 3, s, s), or a list of (3, s, s).

        Returns:
            (B, N, `hidden_size`) in the images' dtype, or a list of (N, `hidden_size`).
        """
        if isinstance(images, list):
            return [self(image[None])[0] for image in images]
        x = images.to(self.device, self.dtype)
        if self.features == 'embedding':
            maps = self.tower.encode_dense(x, normalize=False)
        else:
            block = self.tower.depth - (2 if self.features == 'penultimate' else 1)
            maps, = self.tower.intermediates(x, (block, ))
        return maps.flatten(2).transpose(1, 2).to(images.dtype)  # (B, N, hidden_size)

    @property
    def hidden_size(self) -> int:
        """Channels of a token."""
        return self.tower.embed_dim if self.features == 'embedding' else self.tower.width

    @property
    def num_patches_per_side(self) -> int:
        """Tokens along a side."""
        return self.image_size // self.tower.patch_size

    @property
    def num_patches(self) -> int:
        """Tokens of an image."""
        return self.num_patches_per_side ** 2

    @property
    def config(self) -> SimpleNamespace:
        """What LLaVA reads of a tower's configuration."""
        return SimpleNamespace(hidden_size=self.hidden_size, image_size=self.image_size,
                               patch_size=self.tower.patch_size)

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights."""
        return next(self.tower.parameters()).dtype

    @property
    def device(self) -> torch.device:
        """Of the weights."""
        return next(self.tower.parameters()).device

    @property
    def dummy_feature(self) -> torch.Tensor:
        """The stand-in for no image (1, `hidden_size`)."""
        return torch.zeros(1, self.hidden_size, device=self.device, dtype=self.dtype)


class SquareImageProcessor:
    """What LLaVA uses of ``CLIPImageProcessor``, for images that LLaVA has padded to a square.

    Args:
        side: of the network's input in pixels.
        mean: of each channel, in units of 1.
        std: likewise.
    """

    def __init__(self, side: int, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        self.crop_size = {'height': side, 'width': side}
        self.size = {'shortest_edge': side}
        self.image_mean = list(mean)
        self.image_std = list(std)

    def preprocess(self, images: Image.Image | list[Image.Image], return_tensors: str = 'pt') -> dict[str, Any]:
        """Resize the shorter side bicubically, cut the centre square, normalise.

        Args:
            images: one or several.
            return_tensors: 'pt', the only form.

        Returns:
            ``pixel_values`` (B, 3, side, side).
        """
        images = images if isinstance(images, list) else [images]
        return {'pixel_values': torch.stack([self._one(image.convert('RGB')) for image in images])}

    def _one(self, image: Image.Image) -> torch.Tensor:
        side = self.crop_size['height']
        scale = side / min(image.size)
        width, height = (max(side, round(length * scale)) for length in image.size)
        left, top = (width - side) // 2, (height - side) // 2
        image = image.resize((width, height), Image.Resampling.BICUBIC).crop((left, top, left + side, top + side))
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1) / 255  # (3, side, side)
        mean, std = (torch.tensor(x)[:, None, None] for x in (self.image_mean, self.image_std))  # (3, 1, 1)
        return (pixels - mean) / std
