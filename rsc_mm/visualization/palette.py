"""Colours of classes."""
from functools import lru_cache

import numpy as np

# OKLab (Ottosson, 2020): linear sRGB to cone responses, their cube roots to lightness and two opponent colours.
TO_CONES = np.array([[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566],
                     [0.0883024619, 0.2817188376, 0.6299787005]])
TO_LAB = np.array([[0.2104542553, 0.7936177850, -0.0040720468], [1.9779984951, -2.4285922050, 0.4505937099],
                   [0.0259040371, 0.7827717662, -0.8086757660]])
# Colours that stand for something else in a picture: no class (light grey), a class without a colour (dark grey), the
# paper, and lines.
RESERVED = ((217, 217, 217), (89, 89, 89), (255, 255, 255), (0, 0, 0))
STEPS = 14  # of a channel
LIGHTNESS = (0.3, 0.95)  # neither nearly black nor nearly white


def class_palette(count: int) -> list[list[int]]:
    """Colours as different as can be, the same on every call; the first ones do not depend on the count.

    Each next colour is the one farthest, in OKLab, where distance is what an eye sees, from all before it and from
    greys, white and black. Up to about 40 can be told apart in a legend.

    Args:
        count: number of classes.

    Returns:
        (R, G, B) of each, 0..255.

    Raises:
        ValueError: there are not so many colours (2,000 there are).
    """
    return [list(colour) for colour in _farthest_colours(count)]


@lru_cache
def _farthest_colours(count: int) -> list[tuple[int, ...]]:
    channel = np.linspace(0, 255, STEPS).round().astype(int)
    colours = np.stack(np.meshgrid(channel, channel, channel, indexing='ij'), axis=-1).reshape(-1, 3)  # (STEPS^3, 3)
    lightness = oklab(colours)[:, 0]
    colours = colours[(lightness >= LIGHTNESS[0]) & (lightness <= LIGHTNESS[1])]
    if count > len(colours):
        raise ValueError(f'class_palette.count: found {count}, expected at most {len(colours)}')
    lab, chosen = oklab(colours), []
    distance = np.min([np.linalg.norm(lab - place, axis=1) for place in oklab(np.array(RESERVED))], axis=0)
    for _ in range(count):
        farthest = int(distance.argmax())
        chosen.append(tuple(colours[farthest].tolist()))
        distance = np.minimum(distance, np.linalg.norm(lab - lab[farthest], axis=1))
    return chosen


def oklab(colours: np.ndarray) -> np.ndarray:
    """Colours in OKLab: lightness 0..1, green to red, blue to yellow.

    Args:
        colours: sRGB (n, 3), 0..255.

    Returns:
        (n, 3).
    """
    value = colours / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return np.cbrt(linear @ TO_CONES.T) @ TO_LAB.T
