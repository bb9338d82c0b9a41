"""What `DenseCLIP` finds: plain arrays that can be drawn."""
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from rsc_mm.datasets.label_maps import write_label_map
from rsc_mm.utils.dependencies import optional_module
from rsc_mm.utils.files import replacing
from rsc_mm.visualization.drawing import (
    add_legend,
    blend_heat,
    blend_labels,
    class_colours_rgb,
    contact_sheet,
    draw_boxes,
    draw_point,
    enlarge,
)


class Result:
    """A result that can be shown and saved as a picture."""

    def picture(self) -> Image.Image:
        """The picture."""
        raise NotImplementedError

    def show(self) -> None:
        """Open the picture in the system's viewer; a notebook shows a result that is its last line by itself."""
        self.picture().show()

    def save(self, path: str | Path) -> Path:
        """Write the picture.

        Args:
            path: file; its ending chooses the format. Folders are made.

        Returns:
            The file.

        Raises:
            ValueError: there is no format of that ending.
        """
        path = Path(path)
        if path.suffix.lower() not in Image.registered_extensions():
            raise ValueError(f'{path}: found the ending {path.suffix!r}, expected that of a picture: .png, .jpg ...')
        with replacing(path) as beside:
            self.picture().save(beside)
        return path

    def _repr_png_(self) -> bytes | None:
        return self.picture()._repr_png_()


@dataclass(repr=False)
class RegionClasses(Result):
    """Names of regions.

    Attributes:
        image: (H, W, 3) uint8, upright.
        regions: boxes (K, 4) in pixels or masks (K, H, W).
        classes: T names.
        scores: (K, T), a softmax over all names and synonyms: a row adds up to 1 without synonyms.
        features: (K, D) unit features; 0 for a mask that covers no token.
    """

    image: np.ndarray
    regions: np.ndarray
    classes: list[str]
    scores: np.ndarray
    features: np.ndarray

    @property
    def labels(self) -> np.ndarray:
        """Number of the best class of each region (K,), -1 where a mask covers no token."""
        return np.where(self.scores.max(axis=1, initial=0) > 0, self.scores.argmax(axis=1), -1)

    @property
    def names(self) -> list[str | None]:
        """The best class of each region, None where a mask covers no token."""
        return [self.classes[label] if label >= 0 else None for label in self.labels]

    @property
    def boxes(self) -> np.ndarray:
        """The regions' boxes (K, 4) float32 in pixels; of masks the boxes around them."""
        if self.regions.ndim == 2:
            return np.asarray(self.regions, np.float32)
        return np.array([_extent(mask) for mask in self.regions], np.float32).reshape(-1, 4)  # (K, 4), K = 0 too

    def to_supervision(self) -> Any:
        """See `supervision_detections`; a mask that covers no token has the class_id -1 and no name."""
        masks = self.regions if self.regions.ndim == 3 else None
        return supervision_detections(self.boxes, self.scores.max(axis=1, initial=0), self.labels,
                                      [name or '' for name in self.names], masks)

    def picture(self) -> Image.Image:
        """The image with every region and its name in the colour of its class."""
        colours, labels = class_colours_rgb(len(self.classes)), self.labels
        own = [colours[label] if label >= 0 else (128, 128, 128) for label in labels]
        texts = [f'{name} {row.max():.2f}' if name else '' for name, row in zip(self.names, self.scores)]
        image, factor = enlarge(self.image), enlarge(self.image).shape[0] / self.image.shape[0]
        if self.regions.ndim == 3:
            for mask, colour in zip(self.regions, own):
                grown = enlarge(mask.astype(np.uint8), labels=True).astype(bool)
                image[grown] = blend_labels(image[grown], np.zeros(int(grown.sum()), int), [colour])
        picture = Image.fromarray(image)
        draw_boxes(picture, self.boxes * factor, texts, own)
        return picture

    def __repr__(self) -> str:
        lines = [f'  {name}  {row.max():.2f}' for name, row in zip(self.names, self.scores)]
        return '\n'.join([f'{len(self.scores)} regions, {len(self.classes)} names', *lines[:20],
                          *(['  ...'] if len(lines) > 20 else [])])


@dataclass(repr=False)
class ClassMap(Result):
    """The class of every pixel.

    Attributes:
        image: (H, W, 3) uint8, upright.
        classes: T names.
        labels: (H, W) int32 numbers of classes.
        scores: (T, h, w) of the tokens, a softmax over all names and synonyms; None from a segmentor.
    """

    image: np.ndarray
    classes: list[str]
    labels: np.ndarray
    scores: np.ndarray | None = None

    @property
    def shares(self) -> dict[str, float]:
        """Share of the image's pixels of each class, the largest first."""
        counts = np.bincount(self.labels.ravel(), minlength=len(self.classes)) / self.labels.size
        return {self.classes[i]: float(counts[i]) for i in np.argsort(-counts, kind='stable')}

    def save_labels(self, path: str | Path) -> Path:
        """Write the numbers of the classes, in 8 bits for up to 255 classes and in 16 for more.

        Args:
            path: png file; folders are made.

        Returns:
            The file.
        """
        write_label_map(path, self.labels, len(self.classes))
        return Path(path)

    def picture(self) -> Image.Image:
        """The image under the colours of its classes, with a legend of those that it shows."""
        colours = class_colours_rgb(len(self.classes))
        blended = blend_labels(enlarge(self.image), enlarge(self.labels, labels=True), colours)
        entries = [(colours[self.classes.index(name)], f'{name} {100 * share:.0f} %')
                   for name, share in self.shares.items() if share > 0]
        return add_legend(Image.fromarray(blended), entries)

    def __repr__(self) -> str:
        shares = ', '.join(f'{name} {100 * share:.1f} %' for name, share in self.shares.items() if share > 0)
        height, width = self.labels.shape
        return f'class map of {width} x {height} pixels: {shares}'


@dataclass(repr=False)
class AffinityMap(Result):
    """How alike every place of an image is to one of them.

    Attributes:
        image: (H, W, 3) uint8, upright.
        point: x and y in pixels.
        cosines: (H, W) in -1..1.
        tokens: (h, w), the same of the tokens.
    """

    image: np.ndarray
    point: tuple[float, float]
    cosines: np.ndarray
    tokens: np.ndarray

    def picture(self) -> Image.Image:
        """The image under the cosines, dark blue the lowest and yellow the highest, with the point."""
        large = enlarge(self.image)
        factor = large.shape[0] / self.image.shape[0]
        picture = Image.fromarray(blend_heat(large, enlarge(self.cosines, labels=True)))
        draw_point(picture, tuple((value + 0.5) * factor for value in self.point))
        low, high = float(self.cosines.min()), float(self.cosines.max())
        return add_legend(picture, [((68, 1, 84), f'cosine {low:.2f}'), ((253, 231, 37), f'cosine {high:.2f}')])

    def __repr__(self) -> str:
        return (f'affinity to the point {self.point[0]:g},{self.point[1]:g}: cosines {self.cosines.min():.2f} to '
                f'{self.cosines.max():.2f}')


@dataclass(repr=False)
class Retrieval(Result):
    """Images in the order of their likeness to a text.

    Attributes:
        images: B images (H, W, 3) uint8, upright, as they were given.
        name: the text.
        order: (B,) numbers of the images, the most alike first.
        scores: (B,) cosine of each image, as they were given.
    """

    images: list[np.ndarray] = field(repr=False)
    name: str
    order: np.ndarray
    scores: np.ndarray

    def picture(self) -> Image.Image:
        """The first twelve images in their order."""
        first = self.order[:12]
        return contact_sheet([self.images[i] for i in first], [f'{self.scores[i]:.3f}' for i in first])

    def __repr__(self) -> str:
        rows = ', '.join(f'{i} ({self.scores[i]:.3f})' for i in self.order[:10])
        return f'{len(self.order)} images by {self.name!r}: {rows}'


def supervision_detections(boxes: np.ndarray, scores: np.ndarray, labels: np.ndarray, names: Sequence[str],
                           masks: np.ndarray | None) -> Any:
    """A result for supervision, whose annotators, trackers and counters take it from there.

    Args:
        boxes: (N, 4) as (x1, y1, x2, y2) in pixels.
        scores: (N,).
        labels: (N,) numbers of classes.
        names: the class of each.
        masks: (N, H, W), or None.

    Returns:
        ``supervision.Detections`` with ``data['class_name']``, which its annotators of labels write.

    Raises:
        ImportError: supervision is not installed.
    """
    supervision = optional_module('supervision', 'supervision', 'to_supervision()', 'draw')
    return supervision.Detections(
        xyxy=np.asarray(boxes, np.float32), confidence=np.asarray(scores, np.float32),
        class_id=np.asarray(labels, int), mask=None if masks is None else np.asarray(masks, bool),
        data={'class_name': np.array(names, dtype=str)})


def _extent(mask: np.ndarray) -> tuple[int, int, int, int]:
    """The box around a mask."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
