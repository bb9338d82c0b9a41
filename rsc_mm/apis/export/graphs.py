"""What is exported of a tower: modules of tensors in and tensors out, from pixels to embeddings."""
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from rsc_mm.apis.dense_clip import DenseCLIP
from rsc_mm.utils.regions import grid_shape, pool_numbered_regions

from .ports import Port

IMAGES = Port('images', ('batch', 3, 'height', 'width'),
              'RGB in 0..255, resized by the caller, not normalised, larger than a patch on both sides; padded with '
              'black right and below to whole patches inside')


class Graph(nn.Module):
    """Tensors in, tensors out; base class of what is exported.

    Attributes:
        inputs, outputs: the file's, in the order of `forward`.
        least: open axes that must be longer than 1: name and length.
        size_oblivious: whether it is traced as if no open axis were ever of length 1 (torch's own word).
        tolerance: most that the outputs of a file may differ, see `difference`.
        unit: pixels in which examples count their sides.
        name: what messages call it.
    """

    inputs: tuple[Port, ...] = ()
    outputs: tuple[Port, ...] = ()
    least: dict[str, int] = {}
    size_oblivious = False
    tolerance = 1e-4
    unit: int
    name: str

    def example(self, batch: int, height: int, width: int) -> tuple[torch.Tensor, ...]:
        """Inputs of noise, with which the graph is traced and its file checked.

        Args:
            batch: number of images.
            height: in pixels.
            width: in pixels.
        """
        generator = torch.Generator().manual_seed(height * width)
        return (torch.rand(batch, 3, height, width, generator=generator) * 255, )

    def difference(self, found: Sequence[torch.Tensor], expected: Sequence[torch.Tensor]) -> float:
        """The largest difference of any output, of values above 1 in proportion; infinite where shapes differ.

        Args:
            found: the outputs of the file.
            expected: the graph's own.
        """
        if [part.shape for part in found] != [part.shape for part in expected]:
            return float('inf')
        one, other = (torch.cat([part.double().flatten() for part in values]) for values in (found, expected))
        return ((one - other).abs() / other.abs().clamp(min=1)).max().item()

    def facts(self) -> dict[str, Any]:
        """What else a user of the file wants to know."""
        return {}


class TowerGraph(Graph):
    """Pixels to what a tower makes of them; base class.

    Normalisation and padding are those of `rsc_mm.load`, so that a file needs the resized image and nothing else.

    Args:
        model: what `rsc_mm.load` gives; its weights are shared, not copied.

    Raises:
        ValueError: the tower attends in windows, whose number of tokens cannot be left open.
    """

    inputs: tuple[Port, ...] = (IMAGES, )

    def __init__(self, model: DenseCLIP) -> None:
        super().__init__()
        self.tower: Any = model.tower
        if self.tower.windows > 1:
            raise ValueError(f'export: found a tower with windows={self.tower.windows}, expected windows=1; window '
                             'attention belongs to training, and image sizes cannot be left open with it')
        self.patch_size = self.unit = self.tower.patch_size
        self.least = dict.fromkeys(('height', 'width'), self.patch_size + 1)
        self.name = f'{type(self.tower).__name__} with the readout {self.tower.readout_config!r}'
        self.register_buffer('scale', model.preprocessor.scale)
        self.register_buffer('shift', model.preprocessor.shift)

    def prepare(self, images: torch.Tensor) -> torch.Tensor:
        """Padded and normalised images, as `RegionPreprocessor` gives them.

        Args:
            images: (B, 3, H, W) RGB in 0..255.

        Returns:
            (B, 3, H', W'), whole patches.
        """
        height, width = (cells * self.patch_size for cells in grid_shape(images.shape[2:], self.patch_size))
        padded = F.pad(images, (0, width - images.shape[3], 0, height - images.shape[2]))  # (B, 3, H', W')
        return padded * self.scale + self.shift

    def facts(self) -> dict[str, Any]:
        """What else a user of the file wants to know."""
        tower = self.tower
        return dict(tower=type(tower).__name__, readout=tower.readout_config, patch_size=self.patch_size,
                    native_size=tower.image_size, embedding_size=tower.embed_dim)


class ImageGraph(TowerGraph):
    """Embeddings of whole images, of any size.

    What `DenseCLIP.encode_image` gives is that of an image whose longest side is resized to the native size and that is
    padded with black around its centre to the native square.
    """

    outputs = (Port('embeddings', ('batch', 'embedding'), 'unit embeddings in the image-text space'), )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Unit embeddings (B, D).

        Args:
            images: (B, 3, H, W) RGB in 0..255.
        """
        return self.tower.encode_image(self.prepare(images), normalize=True)


class DenseGraph(TowerGraph):
    """Maps of unit embeddings, a token for each patch: `DenseCLIP.encode_dense` of resized images."""

    outputs = (Port('dense', ('batch', 'embedding', 'rows', 'columns'),
                    'unit embeddings in the image-text space, one for each patch'), )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Unit embeddings (B, D, h, w).

        Args:
            images: (B, 3, H, W) RGB in 0..255.
        """
        return self.tower.encode_dense(self.prepare(images))


class RegionGraph(TowerGraph):
    """Cosines of boxes with texts: `DenseCLIP.classify_regions` without its softmax over cosines / temperature."""

    inputs = (
        IMAGES,
        Port('boxes', ('regions', 4), 'x1, y1, x2, y2 in pixels of the resized images'),
        Port('image_numbers', ('regions', ), 'the image in the batch that each box belongs to', torch.int64),
        Port('text_embeddings', ('texts', 'embedding'),
             'the vocabulary: embeddings of any number of texts by the text tower of this model, of any length'))
    outputs = (
        Port('cosines', ('regions', 'texts'), 'cosine of each box with each text'),
        Port('features', ('regions', 'embedding'), 'unit embeddings of the boxes (RoIAlign of the dense map)'))

    def forward(self, images: torch.Tensor, boxes: torch.Tensor, image_numbers: torch.Tensor,
                text_embeddings: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Cosines (K, T) and unit features (K, D).

        Args:
            images: (B, 3, H, W) RGB in 0..255.
            boxes: (K, 4) in pixels of the images.
            image_numbers: (K,) in 0..B-1.
            text_embeddings: (T, D).
        """
        dense = self.tower.encode_dense(self.prepare(images))
        numbered = torch.cat([image_numbers[:, None].to(boxes), boxes], dim=1)  # (K, 5)
        features = F.normalize(pool_numbered_regions(dense, numbered, self.patch_size), dim=1)
        return features @ F.normalize(text_embeddings, dim=1).t(), features

    def example(self, batch: int, height: int, width: int) -> tuple[torch.Tensor, ...]:
        """Inputs of noise, see `Graph.example`: three boxes an image and five texts.

        Args:
            batch: number of images.
            height: in pixels.
            width: in pixels.
        """
        images, = super().example(batch, height, width)
        generator = torch.Generator().manual_seed(batch)
        corners = torch.rand(3 * batch, 2, 2, generator=generator).sort(dim=1).values  # (K, 2, xy)
        boxes = (corners * torch.tensor([width, height])).flatten(1)  # (K, 4)
        texts = torch.randn(5, self.tower.embed_dim, generator=generator)
        return images, boxes, torch.arange(batch).repeat(3), texts


GRAPHS: dict[str, type[TowerGraph]] = {'image': ImageGraph, 'dense': DenseGraph, 'regions': RegionGraph}
"""By the name that the tool has for them."""
