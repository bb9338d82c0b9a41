"""A tower with its preprocessing: embeddings of images, dense maps, boxes and masks."""
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from rsc_mm.datasets import RegionSample
from rsc_mm.models.region_preprocessor import RegionPreprocessor
from rsc_mm.utils.regions import pool_masks, pool_regions, resized_shape

from .images import ImageLike, read_images

AT_ONCE = 8
"""Most images that pass a tower at a time."""


class DenseEncoder:
    """The part of `DenseCLIP` that needs no text.

    Args:
        tower: with its weights, frozen, on its device.
        preprocessor: with crops of the tower's native size.
    """

    def __init__(self, tower: nn.Module, preprocessor: RegionPreprocessor) -> None:
        self.tower: Any = tower
        self.preprocessor = preprocessor

    @property
    def image_size(self) -> int:
        """Longest side of an image in the network's pixels."""
        return self.preprocessor.image_size

    @property
    def device(self) -> torch.device:
        """Where the tower is."""
        return next(self.tower.parameters()).device

    @torch.no_grad()
    def encode_image(self, images: ImageLike | Sequence[ImageLike]) -> np.ndarray:
        """Unit embeddings of whole images, each padded around its centre to the tower's native square.

        Args:
            images: one image or several, see the class.

        Returns:
            (D,) of one image, (B, D) of several; float32.

        Examples:
            >>> import rsc_mm
            >>> model = rsc_mm.load('projects/shapes_clip/shapes_clip.pt', device='cpu')
            >>> model.encode_image(['projects/shapes_clip/scene.jpg'] * 2).shape
            (2, 128)
        """
        inputs, single = read_images(images)
        rows = [self._encode_whole(inputs[first:first + AT_ONCE]) for first in range(0, len(inputs), AT_ONCE)]
        embeddings = torch.cat(rows) if rows else torch.zeros(0, self.tower.embed_dim)
        return embeddings[0].numpy() if single else embeddings.numpy()

    @torch.no_grad()
    def encode_dense(self, images: ImageLike | Sequence[ImageLike]) -> np.ndarray | list[np.ndarray]:
        """Maps of unit embeddings in the image-text space, a token for each patch of the resized image.

        Args:
            images: one image or several, see the class.

        Returns:
            (D, h, w) float32 of one image, a list of them of several; ``h = ceil(H' / patch)`` of the resized image.

        Examples:
            >>> import rsc_mm
            >>> model = rsc_mm.load('projects/shapes_clip/shapes_clip.pt', device='cpu')
            >>> model.encode_dense('projects/shapes_clip/scene.jpg').shape
            (128, 16, 16)
        """
        inputs, single = read_images(images)
        maps: dict[int, torch.Tensor] = {}
        shapes = [resized_shape(image.shape[1:], self.image_size) for image in inputs]
        for shape in dict.fromkeys(shapes):  # images of one shape together: padding would change the smaller ones
            alike = [i for i, other in enumerate(shapes) if other == shape]
            for first in range(0, len(alike), AT_ONCE):
                chosen = alike[first:first + AT_ONCE]
                prepared = self._prepare([inputs[i] for i in chosen])
                maps.update(zip(chosen, self.tower.encode_dense(prepared['images']).cpu()))
        arrays = [maps[i].numpy() for i in range(len(inputs))]
        return arrays[0] if single else arrays

    def _prepare(self, inputs: list[torch.Tensor], boxes: torch.Tensor | None = None,
                 masks: torch.Tensor | None = None) -> dict:
        boxes = torch.zeros(0, 4) if boxes is None else boxes
        sample = RegionSample(boxes=boxes, crop_boxes=boxes[:0])
        if masks is not None:
            sample.masks = masks.byte()
        return self.preprocessor(dict(inputs=inputs, data_samples=[sample] * len(inputs)))

    def _pool_boxes(self, pixels: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
        prepared = self._prepare([pixels], boxes)
        return pool_regions(self.tower.encode_dense(prepared['images']), prepared['boxes'], self.tower.patch_size)

    def _pool_masks(self, pixels: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        prepared = self._prepare([pixels], torch.zeros(len(masks), 4), masks)
        return pool_masks(self.tower.encode_dense(prepared['images']), prepared['masks'])

    def _encode_whole(self, inputs: list[torch.Tensor]) -> torch.Tensor:
        samples = [RegionSample(boxes=torch.zeros(0, 4), crop_boxes=torch.tensor([[0., 0, x.shape[2], x.shape[1]]]))
                   for x in inputs]
        crops = self.preprocessor(dict(inputs=inputs, data_samples=samples))['crops']
        return self.tower.encode_image(crops, normalize=True).cpu()
