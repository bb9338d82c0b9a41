"""A dense CLIP in a few lines of Python."""
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from rsc_mm.datasets import RegionSample
from rsc_mm.models.heads import class_probabilities, label_cosines, text_cosines, upsample
from rsc_mm.models.region_preprocessor import RegionPreprocessor
from rsc_mm.models.text import class_queries
from rsc_mm.utils.regions import pool_masks, pool_regions, resized_shape
from rsc_mm.visualization import affinity_map, token_at

from .images import ImageLike, read_images, read_one, to_array
from .regions import check_boxes, check_masks, is_boxes
from .results import AffinityMap, ClassMap, RegionClasses, Retrieval
from .text_embeddings import TextEmbeddings

AT_ONCE = 8
"""Most images that pass a tower at a time."""


class DenseCLIP:
    """A tower with its preprocessing and its text tower; `rsc_mm.load` makes one.

    Images are given as a path, a PIL image, an array (H, W, 3) uint8, a tensor (3, H, W), or a list of them. Files and
    PIL images are turned upright by their EXIF orientation, and all coordinates refer to the upright image. Images keep
    their aspect: the longest side is resized to `image_size`, then padded to whole patches. One image gives one result,
    a list gives a list. Nothing here changes global state.

    Args:
        tower: with its weights, frozen, on its device.
        preprocessor: with crops of the tower's native size.
        texts: embeddings of texts.

    Examples:
        >>> import rsc_mm
        >>> model = rsc_mm.load('projects/shapes_clip/shapes_clip.pt', device='cpu')
        >>> found = model.classify_regions('projects/shapes_clip/scene.jpg', [[10, 20, 60, 70]], ['star', 'circle'])
        >>> found.scores.shape
        (1, 2)
    """

    def __init__(self, tower: nn.Module, preprocessor: RegionPreprocessor, texts: TextEmbeddings) -> None:
        self.tower: Any = tower
        self.preprocessor = preprocessor
        self.texts = texts
        self._temperature: float | None = None

    @property
    def temperature(self) -> float:
        """T of the softmax over cosines, softmax(cos / T): the CLIP's own (0.01 in the public ones) unless set."""
        return self.texts.temperature if self._temperature is None else self._temperature

    @temperature.setter
    def temperature(self, value: float) -> None:
        if not value > 0:
            raise ValueError(f'temperature: found {value}, expected a positive number')
        self._temperature = value

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

    @torch.no_grad()
    def classify_regions(self, image: ImageLike, regions: np.ndarray | torch.Tensor | Sequence,
                         names: Sequence[str]) -> RegionClasses:
        r"""Names boxes or masks of an image by their dense features (CLIPSelf, sec. 3.1).

        .. math:: s_{kc} = \mathrm{softmax}_q(\cos(v_k, t_q) / T), \text{ the best synonym } q \text{ of each class } c

        A box is pooled by RoIAlign, a mask by the mean over the tokens that it covers, as in `RegionEncoder`.

        Args:
            image: see the class.
            regions: boxes (K, 4) as (x1, y1, x2, y2) in pixels of the image, or boolean masks (K, H, W); a single one
                may stand without its first axis.
            names: T classes; 'dog; puppy' is one class with two names.

        Returns:
            Names, scores and features of the K regions. A mask so small that it covers no token has the name None.

        Raises:
            ValueError: a box has no area or lies outside the image, a mask is empty or of another size, a name twice.

        Examples:
            >>> import rsc_mm
            >>> model = rsc_mm.load('projects/shapes_clip/shapes_clip.pt', device='cpu')
            >>> boxes = [[72, 14, 104, 44], [10, 20, 60, 70]]
            >>> found = model.classify_regions('projects/shapes_clip/scene.jpg', boxes, ['heart', 'cross', 'lines'])
            >>> found.names[0], found.scores.shape
            ('heart', (2, 3))
        """
        pixels = read_one(image)
        regions = np.asarray(regions.cpu() if isinstance(regions, torch.Tensor) else regions)
        boxes = is_boxes(regions)
        regions = (check_boxes if boxes else check_masks)(regions, tuple(pixels.shape[1:]))
        classes, embeddings, counts = self._queries(names)
        features = (self._pool_boxes if boxes else self._pool_masks)(pixels, torch.from_numpy(regions)).cpu()
        cosines = text_cosines(features.t()[None, :, None], embeddings)[0]  # (Q, 1, K)
        scores = class_probabilities(cosines, counts, 1 / self.temperature)[:, 0].t()  # (K, T)
        seen = features.norm(dim=1) > 0
        return RegionClasses(to_array(pixels), regions, classes, torch.where(seen[:, None], scores, 0.).numpy(),
                             F.normalize(features, dim=1).numpy())

    @torch.no_grad()
    def class_map(self, image: ImageLike, names: Sequence[str]) -> ClassMap:
        r"""The class of every pixel: cosines of the dense map with the names, upsampled to the image, and the best.

        Args:
            image: see the class.
            names: T classes; 'dog; puppy' is one class with two names. Every pixel gets one of them: name what else is
                in the picture, too.

        Returns:
            Labels (H, W) of the image and scores (T, h, w) of the tokens.

        Examples:
            >>> import rsc_mm
            >>> model = rsc_mm.load('projects/shapes_clip/shapes_clip.pt', device='cpu')
            >>> found = model.class_map('projects/shapes_clip/scene.jpg', ['heart', 'cross', 'checks; squares'])
            >>> found.labels.shape, found.classes
            ((128, 128), ['heart', 'cross', 'checks'])
        """
        pixels = read_one(image)
        classes, embeddings, counts = self._queries(names)
        cosines = text_cosines(self.tower.encode_dense(self._prepare([pixels])['images']).cpu(), embeddings)[0]
        shape, scale = tuple(pixels.shape[1:]), 1 / self.temperature
        upsampled = upsample(cosines[None], self.tower.patch_size, resized_shape(shape, self.image_size))[0]
        labels = label_cosines(upsampled, shape, counts, scale)
        scores = class_probabilities(cosines, counts, scale)
        return ClassMap(to_array(pixels), classes, labels.numpy().astype(np.int32), scores.numpy())

    @torch.no_grad()
    def affinity(self, image: ImageLike, point: tuple[float, float]) -> AffinityMap:
        """How alike every place of an image is to the one under a point: cosines of the dense map.

        Args:
            image: see the class.
            point: x and y in pixels of the image.

        Returns:
            Cosines at the size of the image (H, W) and of the tokens (h, w).

        Raises:
            ValueError: the point lies outside the image.

        Examples:
            >>> import rsc_mm
            >>> model = rsc_mm.load('projects/shapes_clip/shapes_clip.pt', device='cpu')
            >>> model.affinity('projects/shapes_clip/scene.jpg', (88, 28)).tokens.shape
            (16, 16)
        """
        pixels = read_one(image)
        shape = tuple(pixels.shape[1:])
        resized = resized_shape(shape, self.image_size)
        row, column = token_at(point, shape, resized, self.tower.patch_size)
        cosines = affinity_map(self.tower.encode_dense(self._prepare([pixels])['images'])[0].cpu(), row, column)
        large = upsample(cosines[None, None], self.tower.patch_size, resized)
        large = F.interpolate(large, shape, mode='bilinear', align_corners=False)[0, 0]
        return AffinityMap(to_array(pixels), tuple(point), large.numpy(), cosines.numpy())

    def retrieve(self, images: Sequence[ImageLike], name: str) -> Retrieval:
        """Images in the order of their likeness to a text, by the embeddings of whole images.

        Args:
            images: several images.
            name: what is looked for; 'dog; puppy' takes the better of two names.

        Returns:
            Order and cosines.

        Raises:
            ValueError: there is no image.

        Examples:
            >>> import rsc_mm
            >>> model = rsc_mm.load('projects/shapes_clip/shapes_clip.pt', device='cpu')
            >>> found = model.retrieve(['projects/shapes_clip/scene.jpg', 'docs/shapes.png'], 'a heart')
            >>> sorted(found.order.tolist())
            [0, 1]
        """
        inputs, _ = read_images(images)
        if not inputs:
            raise ValueError('retrieve: found no images, expected a list of at least one')
        _, embeddings, _ = self._queries([name])
        scores = (self.encode_image(inputs) @ embeddings.numpy().T).max(axis=1)  # (B,)
        return Retrieval([to_array(image) for image in inputs], name, np.argsort(-scores, kind='stable'), scores)

    def _queries(self, names: Sequence[str]) -> tuple[list[str], torch.Tensor, list[int]]:
        """Names of the classes, embeddings of their texts (Q, D), and how many texts each has."""
        if isinstance(names, str):
            raise ValueError(f'names: found the text {names!r}, expected a list such as {names.split(",")}')
        classes, texts = class_queries(list(names))
        return classes, self.texts([text for part in texts for text in part]), [len(part) for part in texts]

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
