"""Image files to RGB tensors, with an error that names the file."""
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torchvision.io import ImageReadMode, decode_jpeg

from .region_table import area_inside

_JPEG_MAGIC = b'\xff\xd8\xff'
_PIL_ERRORS = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)


class BadImageError(RuntimeError):
    """An image file that is missing, does not decode or contradicts its annotation."""


def read_image(path: str) -> torch.Tensor:
    """One image file as RGB.

    The pixels are those of PIL's ``convert('RGB')`` (grey is repeated, alpha dropped, CMYK and palettes converted),
    except that 16-bit grey is scaled from 0..65535 to 0..255, where PIL clips it. Pixels of 32 bits (float and integer
    TIFFs) have no range of their own and are refused. An EXIF rotation is ignored, because annotations refer to the
    stored pixels.

    Args:
        path: image file; JPEG takes the fast path, anything else that PIL reads is allowed.

    Returns:
        (3, H, W) uint8, channels last in memory.

    Raises:
        BadImageError: the file is missing, empty, truncated, no image, or has pixels of 32 bits.
    """
    try:
        data = np.fromfile(path, dtype=np.uint8)
    except OSError as error:
        raise BadImageError(f'{path}: found {error.strerror or error}, expected a readable image file') from None
    return decode_image(data, path)


def decode_image(data: np.ndarray, path: str) -> torch.Tensor:
    """The content of an image file as RGB, see `read_image`.

    Args:
        data: the file's bytes, uint8.
        path: how messages name it.

    Returns:
        (3, H, W) uint8, channels last in memory.

    Raises:
        BadImageError: see `read_image`.
    """
    if data[:3].tobytes() != _JPEG_MAGIC:
        return torch.from_numpy(_read_with_pil(path, _to_rgb, BytesIO(data))).permute(2, 0, 1)  # (3, H, W)
    try:
        return decode_jpeg(torch.from_numpy(data), mode=ImageReadMode.RGB)  # (3, H, W)
    except RuntimeError as error:
        raise BadImageError(f'{path}: found a JPEG that does not decode ({error}), expected a complete one') from None


def read_segments(path: str, shape: tuple[int, int]) -> torch.Tensor:
    """A COCO panoptic png as segment ids: R + 256 G + 256^2 B.

    Args:
        path: png file.
        shape: expected height and width.

    Returns:
        (H, W) int32.

    Raises:
        BadImageError: the file is missing or broken, its pixels are no colours, or its size is not ``shape``.
    """
    colours = _read_with_pil(path, _to_colours).astype(np.int32)
    check_shape(path, colours.shape[:2], shape)
    return torch.from_numpy(colours @ np.array([1, 256, 65536], dtype=np.int32))


def image_shape(path: str | BytesIO) -> tuple[int, int]:
    """Height and width from the file's header, or (1, 1) for a file that cannot be opened (reading it will say why)."""
    try:
        with Image.open(path) as image:
            return image.height, image.width
    except _PIL_ERRORS:
        return 1, 1


def check_shape(path: str, found: tuple[int, int], expected: tuple[int, int]) -> None:
    """Compares the size (height, width) in a file with its annotation; an unknown size (-1, -1) fits any.

    Raises:
        BadImageError: they differ.
    """
    if min(expected) > 0 and tuple(found) != tuple(expected):
        raise BadImageError(f'{path}: found height x width {found[0]} x {found[1]} in the file, '
                            f'expected {expected[0]} x {expected[1]} from the annotation')


def check_boxes(path: str, boxes: np.ndarray, shape: tuple[int, int]) -> None:
    """Refuses a box that lies wholly outside an image.

    Args:
        path: image file, for the message.
        boxes: (K, 4) (x, y, width, height).
        shape: height and width of the image.

    Raises:
        BadImageError: there is one.
    """
    outside = ~area_inside(boxes, np.array([shape]), np.zeros(len(boxes), int))
    if outside.any():
        raise BadImageError(f'{path}: found the box {boxes[outside][0].tolist()}, expected [x, y, width, height] with '
                            f'an area inside the image of width x height {shape[1]} x {shape[0]}')


def _read_with_pil(path: str, convert: Callable[[Image.Image], np.ndarray], content: BytesIO | None = None
                   ) -> np.ndarray:
    try:
        with Image.open(content or Path(path)) as image:
            return convert(image)
    except _PIL_ERRORS as error:
        unknown = isinstance(error, UnidentifiedImageError)  # its text names an object in memory
        reason = 'no image of a known format' if unknown else getattr(error, 'strerror', None) or error
        raise BadImageError(f'{path}: found {reason}, expected a complete image file') from None


def _to_rgb(image: Image.Image) -> np.ndarray:
    """(H, W, 3) uint8."""
    if not _is_deep(image):
        return np.array(image.convert('RGB'))
    # Pillow before 11 opens a 16-bit png as 'I'.
    if not (image.mode.startswith('I;16') or image.mode == 'I' and image.format == 'PNG'):
        raise ValueError(f"pixels of 32 bits (mode '{image.mode}'), whose range the file does not say; convert it to 8 "
                         'or 16 bits')
    grey = np.rint(np.array(image).astype(np.float32) / 257).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)  # (H, W, 3)


def _to_colours(image: Image.Image) -> np.ndarray:
    """(H, W, 3) uint8 of a file whose colours are numbers, which scaling would change."""
    if _is_deep(image):
        raise ValueError(f"pixels of mode '{image.mode}', which are no colours of a panoptic png (RGB)")
    return np.array(image.convert('RGB'))


def _is_deep(image: Image.Image) -> bool:
    """Whether a pixel has more than 8 bits in PIL's modes."""
    return image.mode[0] in 'IF'
