"""Colours of classes."""
import colorsys

GOLDEN = (5 ** 0.5 - 1) / 2


def class_palette(count: int) -> list[list[int]]:
    """Colours that differ from their neighbours, the same on every call; the first ones do not depend on the count.

    Hues go around by the golden section, so that none of the first n lie close together; brightness and saturation
    change every few classes.

    Args:
        count: number of classes.

    Returns:
        (R, G, B) of each, 0..255.
    """
    looks = [(0.95, 0.85), (0.7, 0.9), (0.95, 0.5), (0.5, 0.9), (0.8, 0.65)]
    rows = [colorsys.hsv_to_rgb(i * GOLDEN % 1, looks[i // 3 % 5][1], looks[i // 3 % 5][0]) for i in range(count)]
    return [[round(255 * value) for value in row] for row in rows]
