"""Images of any kind (paths, PIL, arrays, tensors) as RGB tensors."""
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps

from rsc_mm.datasets.image_io import BadImageError, read_image

ImageLike = str | Path | Image.Image | np.ndarray | torch.Tensor
EXPECTED = ('expected a path, a PIL image, an array (H, W, 3) uint8, a tensor (3, H, W) uint8 or float in 0..1, or a '
            'list of them')


def read_images(images: ImageLike | Sequence[ImageLike]) -> tuple[list[torch.Tensor], bool]:
    """Images of any kind as RGB tensors.

    Args:
        images: one image, a list of images, or a tensor or array of several: (B, 3, H, W) or (B, H, W, 3).

    Returns:
        Tensors (3, H, W) uint8, and whether a single image was given.

    Raises:
        TypeError: something else was given.
        ValueError: an array or tensor of another shape, type or range.
        BadImageError: a file cannot be read; the message names it.
    """
    if isinstance(images, (np.ndarray, torch.Tensor)) and images.ndim == 4:
        images = list(images)
    if isinstance(images, (list, tuple)):
        return [read_one(image) for image in images], False
    return [read_one(images)], True


def one_for_each(given: Any, inputs: list[torch.Tensor], single: bool, name: str) -> Sequence[Any]:
    """What is given beside images, one entry for each.

    Args:
        given: the entry of a single image, or a sequence with one for each of several.
        inputs, single: of `read_images`.
        name: of the argument, for the message.

    Raises:
        ValueError: it holds more or fewer entries than there are images.
    """
    if single:
        return [given]
    if not hasattr(given, '__len__') or len(given) != len(inputs):
        found = f'{len(given)} entries' if hasattr(given, '__len__') else repr(given)
        raise ValueError(f'{name}: found {found} for a list of {len(inputs)} images, expected one for each')
    return given


def read_one(image: ImageLike) -> torch.Tensor:
    """One image as an RGB tensor; a file or PIL image is turned upright as its EXIF orientation says.

    Args:
        image: see `read_images`.

    Returns:
        (3, H, W) uint8.
    """
    if isinstance(image, (str, Path)):
        return read_upright(image)
    if isinstance(image, Image.Image):
        return _from_array(np.array(ImageOps.exif_transpose(image).convert('RGB')))
    if isinstance(image, np.ndarray):
        return _from_array(image)
    if isinstance(image, torch.Tensor):
        return _from_tensor(image)
    raise TypeError(f'image: found {type(image).__name__}, {EXPECTED}')


def read_upright(path: str | Path) -> torch.Tensor:
    """An image file as it is seen: turned as its EXIF orientation says.

    Annotations of data sets refer to the pixels as they are stored, which `rsc_mm.datasets.image_io.read_image` gives.

    Args:
        path: image file.

    Returns:
        (3, H, W) uint8.
    """
    pixels = read_image(str(path))
    try:
        with Image.open(path) as file:
            orientation = file.getexif().get(0x0112, 1)
    except (OSError, SyntaxError, ValueError):  # the pixels are there: an EXIF block that does not parse says nothing
        orientation = 1
    if orientation not in range(2, 9):
        return pixels
    if orientation >= 5:
        pixels = pixels.transpose(1, 2)
    flips = {2: (2, ), 3: (1, 2), 4: (1, ), 6: (2, ), 7: (1, 2), 8: (1, )}.get(orientation, ())
    return pixels.flip(flips).contiguous()


def to_array(image: torch.Tensor) -> np.ndarray:
    """(3, H, W) uint8 as (H, W, 3)."""
    return image.permute(1, 2, 0).contiguous().numpy()


def _from_array(image: np.ndarray) -> torch.Tensor:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ValueError(f'image: found an array {image.shape} {image.dtype}, expected (H, W, 3) uint8 in RGB order')
    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)  # (3, H, W)


def _from_tensor(image: torch.Tensor) -> torch.Tensor:
    image = image.detach().cpu()
    if image.ndim != 3 or image.shape[0] != 3 or not image.numel():
        raise ValueError(f'image: found a tensor {tuple(image.shape)}, expected (3, H, W) in RGB order')
    if image.is_floating_point():
        if not 0 <= image.min() <= image.max() <= 1:  # NaN fails too
            raise ValueError(f'image: found a {image.dtype} tensor of {image.min():.3g} to {image.max():.3g}, expected '
                             '0 to 1 (not normalised), or uint8')
        return (image.float() * 255).round().byte()
    if image.dtype != torch.uint8:
        raise ValueError(f'image: found a tensor of {image.dtype}, expected uint8, or float in 0..1')
    return image


__all__ = ['BadImageError', 'ImageLike', 'one_for_each', 'read_images', 'read_one', 'read_upright', 'to_array']
