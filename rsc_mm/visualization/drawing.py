"""Pictures by PIL alone: class maps, boxes, heat, legends. Nothing here needs matplotlib or opens a window."""
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .palette import class_palette

Colour = tuple[int, int, int]
# Viridis at equal steps (van der Walt and Smith, 2015): even in lightness, readable without colour vision.
HEAT = np.array([[68, 1, 84], [72, 40, 120], [62, 74, 137], [49, 104, 142], [38, 130, 142], [31, 158, 137],
                 [53, 183, 121], [109, 205, 89], [180, 222, 44], [253, 231, 37]])
MIN_SIDE = 480
"""Shorter pictures are enlarged to this longest side, so that legends and lines can be read."""


def enlarge(image: np.ndarray, labels: bool = False) -> np.ndarray:
    """An image by a whole factor that brings its longest side to about `MIN_SIDE`; large ones as they are.

    Args:
        image: (H, W, 3) or (H, W).
        labels: its values are numbers of classes, which do not mix.
    """
    factor = max(1, MIN_SIDE // max(image.shape[:2]))
    if factor == 1 or labels:
        return image.repeat(factor, 0).repeat(factor, 1)
    size = (image.shape[1] * factor, image.shape[0] * factor)
    return np.array(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))


def blend_labels(image: np.ndarray, labels: np.ndarray, colours: Sequence[Colour], opacity: float = 0.6) -> np.ndarray:
    """The colour of every pixel's class over the image.

    Args:
        image: (H, W, 3) uint8.
        labels: (H, W) numbers of classes.
        colours: of each class.
        opacity: share of the colour, 0..1.

    Returns:
        (H, W, 3) uint8.
    """
    table = np.array(colours, np.float32)
    return (image * (1 - opacity) + table[labels] * opacity).round().astype(np.uint8)


def blend_heat(image: np.ndarray, values: np.ndarray, opacity: float = 0.65) -> np.ndarray:
    """Values over the image, from dark blue (lowest) to yellow (highest).

    Args:
        image: (H, W, 3) uint8.
        values: (H, W).
        opacity: share of the colour, 0..1.

    Returns:
        (H, W, 3) uint8.
    """
    low, high = float(values.min()), float(values.max())
    place = (values - low) / max(high - low, 1e-12) * (len(HEAT) - 1)
    channels = [np.interp(place, np.arange(len(HEAT)), HEAT[:, channel]) for channel in range(3)]
    return (image * (1 - opacity) + np.stack(channels, axis=2) * opacity).round().astype(np.uint8)


def add_legend(picture: Image.Image, entries: Sequence[tuple[Colour, str]]) -> Image.Image:
    """The picture with a line of colour and name for each entry below it, in as many columns as fit.

    Args:
        picture: RGB.
        entries: colour and text.
    """
    font = text_font(picture)
    pen = ImageDraw.Draw(picture)
    line = round(font.size * 1.6)
    width = max((pen.textlength(text, font) for _, text in entries), default=0) + 2 * line
    columns = max(1, int(picture.width // width))
    rows = -(-len(entries) // columns)
    canvas = Image.new('RGB', (max(picture.width, int(width)), picture.height + rows * line + line // 2), 'white')
    canvas.paste(picture, (0, 0))
    pen = ImageDraw.Draw(canvas)
    for i, (colour, text) in enumerate(entries):
        left, top = i % columns * width + line // 4, picture.height + line // 4 + i // columns * line
        pen.rectangle((left, top, left + line * 0.7, top + line * 0.7), fill=tuple(colour), outline='black')
        pen.text((left + line, top - font.size * 0.1), text, fill='black', font=font)
    return canvas


def draw_boxes(picture: Image.Image, boxes: np.ndarray, labels: Sequence[str], colours: Sequence[Colour]) -> None:
    """Boxes with their texts; the first on top.

    Args:
        picture: RGB; changed.
        boxes: (K, 4) in pixels of the picture.
        labels: text of each box, '' for none.
        colours: of each box.
    """
    pen, font = ImageDraw.Draw(picture), text_font(picture)
    width = max(2, max(picture.size) // 300)
    for box, text, colour in reversed(list(zip(boxes.tolist(), labels, colours))):
        pen.rectangle(box, outline=tuple(colour), width=width)
        if text:
            left, top = max(0, box[0]), max(0, min(box[1], picture.height - font.size * 1.4))
            frame = pen.textbbox((left + 2, top + 1), text, font=font)
            pen.rectangle((left, top, frame[2] + 2, frame[3] + 2), fill=tuple(colour))
            pen.text((left + 2, top + 1), text, fill=readable_on(colour), font=font)


def draw_point(picture: Image.Image, point: tuple[float, float]) -> None:
    """A red dot with a white rim.

    Args:
        picture: RGB; changed.
        point: x and y in pixels of the picture.
    """
    radius, (x, y) = max(4, max(picture.size) // 100), point
    ImageDraw.Draw(picture).ellipse((x - radius, y - radius, x + radius, y + radius), fill='red', outline='white',
                                    width=max(1, radius // 3))


def contact_sheet(images: Sequence[np.ndarray], texts: Sequence[str], columns: int = 4, side: int = 240) -> Image.Image:
    """Images side by side with a text below each.

    Args:
        images: (H, W, 3) uint8.
        texts: of each image.
        columns: most images of a row.
        side: longest side of an image in the sheet.
    """
    columns = min(columns, len(images))
    line, gap, rows = 24, 8, -(-len(images) // columns)
    sheet = Image.new('RGB', (columns * (side + gap) + gap, rows * (side + line + gap) + gap), 'white')
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=14)
    for i, (image, text) in enumerate(zip(images, texts)):
        small = Image.fromarray(image)
        scale = side / max(small.size)
        small = small.resize([max(1, round(length * scale)) for length in small.size], Image.Resampling.BICUBIC)
        left, top = gap + i % columns * (side + gap), gap + i // columns * (side + line + gap)
        sheet.paste(small, (left + (side - small.width) // 2, top + (side - small.height) // 2))
        pen.text((left, top + side + 4), text, fill='black', font=font)
    return sheet


def class_colours_rgb(count: int) -> list[Colour]:
    """Colours of classes that differ from each other, as triples.

    Args:
        count: number of classes.
    """
    return [(red, green, blue) for red, green, blue in class_palette(count)]


def readable_on(colour: Colour) -> str:
    """Black or white, whichever is read better on a colour.

    Args:
        colour: (R, G, B), 0..255.
    """
    return 'black' if np.dot(colour, (0.299, 0.587, 0.114)) > 140 else 'white'


def text_font(picture: Image.Image) -> Any:
    """A font whose size fits the picture.

    Args:
        picture: what it is for.
    """
    return ImageFont.load_default(size=max(13, max(picture.size) // 45))
