"""A dense CLIP in a few lines of Python."""
from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from rsc_mm.models.heads import class_probabilities, label_cosines, text_cosines, upsample
from rsc_mm.models.region_preprocessor import RegionPreprocessor
from rsc_mm.models.text import class_queries
from rsc_mm.utils.regions import resized_shape
from rsc_mm.visualization import affinity_map, token_at

from .dense_encoder import DenseEncoder
from .images import ImageLike, one_for_each, read_images, to_array
from .regions import check_boxes, check_masks, is_boxes
from .results import AffinityMap, ClassMap, RegionClasses, Retrieval
from .text_embeddings import TextEmbeddings

if TYPE_CHECKING:
    from .detection import Detector
    from .detections import Detections

Regions = np.ndarray | torch.Tensor | Sequence


class DenseCLIP(DenseEncoder):
    """A tower with its preprocessing and its text tower; `rsc_mm.load` makes one.

    Images are given as a path, a PIL image, an array (H, W, 3) uint8, a tensor (3, H, W), or a list of them. Files and
    PIL images are turned upright by their EXIF orientation, and all coordinates refer to the upright image. Images keep
    their aspect: the longest side is resized to `image_size`, then padded to whole patches. One image gives one result,
    a list gives a list. Nothing here changes global state.

    Args:
        tower: with its weights, frozen, on its device.
        preprocessor: with crops of the tower's native size.
        texts: embeddings of texts.
        detector: an open-vocabulary detector on the same tower, for `detect`.

    Examples:
        >>> import rsc_mm
        >>> model = rsc_mm.load('projects/shapes_clip/shapes_clip.pt', device='cpu')
        >>> found = model.classify_regions('projects/shapes_clip/scene.jpg', [[10, 20, 60, 70]], ['star', 'circle'])
        >>> found.scores.shape
        (1, 2)
    """

    def __init__(self, tower: nn.Module, preprocessor: RegionPreprocessor, texts: TextEmbeddings,
                 detector: Detector | None = None) -> None:
        super().__init__(tower, preprocessor)
        self.texts = texts
        self.detector = detector
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

    @torch.no_grad()
    def classify_regions(self, image: ImageLike | Sequence[ImageLike], regions: Regions | Sequence[Regions],
                         names: Sequence[str]) -> RegionClasses | list[RegionClasses]:
        r"""Names boxes or masks of an image by their dense features (CLIPSelf, sec. 3.1).

        .. math:: s_{kc} = \mathrm{softmax}_q(\cos(v_k, t_q) / T), \text{ the best synonym } q \text{ of each class } c

        A box is pooled by RoIAlign, a mask by the mean over the tokens that it covers, as in `RegionEncoder`.

        Args:
            image: one image or several, see the class.
            regions: boxes (K, 4) as (x1, y1, x2, y2) in pixels of the image, or boolean masks (K, H, W); a single one
                may stand without its first axis. Of several images a list with those of each.
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
        inputs, single = read_images(image)
        queries = self._queries(names)
        found = [self._classify(pixels, own, *queries)
                 for pixels, own in zip(inputs, one_for_each(regions, inputs, single, 'regions'))]
        return found[0] if single else found

    @torch.no_grad()
    def class_map(self, image: ImageLike | Sequence[ImageLike],
                  names: Sequence[str]) -> ClassMap | list[ClassMap]:
        r"""The class of every pixel: cosines of the dense map with the names, upsampled to the image, and the best.

        Args:
            image: one image or several, see the class.
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
        inputs, single = read_images(image)
        queries = self._queries(names)
        found = [self._class_map(pixels, *queries) for pixels in inputs]
        return found[0] if single else found

    @torch.no_grad()
    def affinity(self, image: ImageLike | Sequence[ImageLike],
                 point: tuple[float, float] | Sequence[tuple[float, float]]) -> AffinityMap | list[AffinityMap]:
        """How alike every place of an image is to the one under a point: cosines of the dense map.

        Args:
            image: one image or several, see the class.
            point: x and y in pixels of the image; of several images a list with one for each.

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
        inputs, single = read_images(image)
        found = [self._affinity(pixels, own)
                 for pixels, own in zip(inputs, one_for_each(point, inputs, single, 'point'))]
        return found[0] if single else found

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
            >>> images = ['projects/shapes_clip/scene.jpg', 'projects/creatures_clip/scene.jpg']
            >>> found = model.retrieve(images, 'a heart')
            >>> sorted(found.order.tolist())
            [0, 1]
        """
        inputs, _ = read_images(images)
        if not inputs:
            raise ValueError('retrieve: found no images, expected a list of at least one')
        _, embeddings, _ = self._queries([name])
        scores = (self.encode_image(inputs) @ embeddings.numpy().T).max(axis=1)  # (B,)
        return Retrieval([to_array(image) for image in inputs], name, np.argsort(-scores, kind='stable'), scores)

    def detect(self, image: ImageLike | Sequence[ImageLike], names: Sequence[str] | None = None,
               score: float = 0.2) -> Detections | list[Detections]:
        """Objects of an image by name; for what was loaded with the weights of a detector, see `rsc_mm.load`.

        Args:
            image: one image or several, see the class.
            names: what to look for, from now on; None: as before, at first the classes of the configuration. A name
                stands alone: 'dog; puppy' is refused here.
            score: lowest score.

        Returns:
            Boxes, scores and names of the objects, the best first.

        Raises:
            ValueError: no detector was loaded, or a name holds ';'.

        Examples:
            >>> model = rsc_mm.load('configs/fvit/fvit_vitb16_ovcoco.py', checkpoint='epoch_3.pth')  # doctest: +SKIP
            >>> model.detect('street.jpg', ['traffic light', 'red umbrella']).save('found.png')  # doctest: +SKIP
        """
        if self.detector is None:
            raise ValueError('detect: found a tower without a detector, expected what the training of a detector '
                             "saved: rsc_mm.load('configs/fvit/CONFIG.py', checkpoint='epoch_3.pth'), or its work "
                             'directory. Boxes that you have are named by classify_regions, the findings of another '
                             'detector by rsc_mm.apis.rescore')
        if names is not None:
            check_list(names)
            if joined := [name for name, part in zip(names, class_queries(list(names))[1]) if len(part) > 1]:
                raise ValueError(f'detect: found {joined}, several names for one class, expected one for each: give '
                                 'them apart')
        inputs, single = read_images(image)
        found = [self.detector.detect(pixels, names, score) for pixels in inputs]
        return found[0] if single else found

    def _classify(self, pixels: torch.Tensor, regions: Regions, classes: list[str], embeddings: torch.Tensor,
                  counts: list[int]) -> RegionClasses:
        regions = np.asarray(regions.cpu() if isinstance(regions, torch.Tensor) else regions)
        boxes = is_boxes(regions)
        regions = (check_boxes if boxes else check_masks)(regions, tuple(pixels.shape[1:]))
        features = (self._pool_boxes if boxes else self._pool_masks)(pixels, torch.from_numpy(regions)).cpu()
        cosines = text_cosines(features.t()[None, :, None], embeddings)[0]  # (Q, 1, K)
        scores = class_probabilities(cosines, counts, 1 / self.temperature)[:, 0].t()  # (K, T)
        seen = features.norm(dim=1) > 0
        return RegionClasses(to_array(pixels), regions, classes, torch.where(seen[:, None], scores, 0.).numpy(),
                             F.normalize(features, dim=1).numpy())

    def _class_map(self, pixels: torch.Tensor, classes: list[str], embeddings: torch.Tensor,
                   counts: list[int]) -> ClassMap:
        cosines = text_cosines(self.tower.encode_dense(self._prepare([pixels])['images']).cpu(), embeddings)[0]
        shape, scale = tuple(pixels.shape[1:]), 1 / self.temperature
        upsampled = upsample(cosines[None], self.tower.patch_size, resized_shape(shape, self.image_size))[0]
        labels = label_cosines(upsampled, shape, counts, scale)
        scores = class_probabilities(cosines, counts, scale)
        return ClassMap(to_array(pixels), classes, labels.numpy().astype(np.int32), scores.numpy())

    def _affinity(self, pixels: torch.Tensor, point: tuple[float, float]) -> AffinityMap:
        shape = tuple(pixels.shape[1:])
        resized = resized_shape(shape, self.image_size)
        row, column = token_at(point, shape, resized, self.tower.patch_size)
        cosines = affinity_map(self.tower.encode_dense(self._prepare([pixels])['images'])[0].cpu(), row, column)
        large = upsample(cosines[None, None], self.tower.patch_size, resized)
        large = F.interpolate(large, shape, mode='bilinear', align_corners=False)[0, 0]
        return AffinityMap(to_array(pixels), tuple(point), large.numpy(), cosines.numpy())

    def _queries(self, names: Sequence[str]) -> tuple[list[str], torch.Tensor, list[int]]:
        """Names of the classes, embeddings of their texts (Q, D), and how many texts each has."""
        check_list(names)
        classes, texts = class_queries(list(names))
        return classes, self.texts([text for part in texts for text in part]), [len(part) for part in texts]


def check_list(names: Sequence[str]) -> None:
    """Refuse a text in the place of a list of names.

    Args:
        names: of classes.

    Raises:
        ValueError: it is a text.
    """
    if isinstance(names, str):
        raise ValueError(f'names: found the text {names!r}, expected a list such as {names.split(",")}')
