"""Shapes, the drawing: ten kinds of things in eight colours and eight kinds of stuff, from a random generator alone."""
from collections.abc import Callable

import cv2
import numpy as np
from numpy.random import Generator

SHAPES = ('circle', 'square', 'triangle', 'star', 'heart', 'ring', 'cross', 'crescent', 'arrow', 'hourglass')
NOVEL_SHAPES = ('heart', 'cross', 'hourglass')
BASE_SHAPES = tuple(name for name in SHAPES if name not in NOVEL_SHAPES)
TEXTURES = ('stripes', 'checks', 'dots', 'bricks', 'waves', 'zigzags', 'mesh', 'clouds')
COLOURS = dict(
    red=(215, 40, 40), green=(40, 165, 60), blue=(45, 75, 220), yellow=(235, 220, 50),
    purple=(130, 45, 170), orange=(240, 140, 30), cyan=(50, 205, 215), pink=(245, 130, 190))
CLASS_NAMES = SHAPES + TEXTURES
"""The 18 class names: things first, then stuff; the COCO category id is the position + 1."""
SUPERSAMPLING = 4


def _arc(start: float, stop: float, radius: float = 1.0, centre: float = 0.0, count: int = 40) -> np.ndarray:
    angles = np.linspace(start, stop, count)
    return np.stack([centre + radius * np.cos(angles), radius * np.sin(angles)], axis=1)


def _star() -> np.ndarray:
    angles = -np.pi / 2 + np.arange(10) * np.pi / 5
    radii = np.where(np.arange(10) % 2 == 0, 1.0, 0.42)
    return np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1)


def _heart() -> np.ndarray:
    t = np.linspace(0, 2 * np.pi, 60)
    x = 16 * np.sin(t) ** 3
    y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
    return np.stack([x / 16.5, (y - 2.5) / 15], axis=1)


def _crescent() -> np.ndarray:
    # Two arcs that meet where the unit circle cuts the circle of radius 0.85 around (0.55, 0).
    cos_cut = (1 + 0.55 ** 2 - 0.85 ** 2) / (2 * 0.55)
    outer = np.arccos(cos_cut)
    inner = np.arctan2(np.sin(outer), cos_cut - 0.55)
    arcs = [_arc(outer, 2 * np.pi - outer), _arc(2 * np.pi - inner, inner, 0.85, 0.55)]
    return np.concatenate(arcs) + [0.3, 0]


OUTLINES: dict[str, list[np.ndarray]] = dict(
    circle=[_arc(0, 2 * np.pi)],
    square=[np.array([[-.85, -.85], [.85, -.85], [.85, .85], [-.85, .85]])],
    triangle=[np.array([[0, -.95], [1, .8], [-1, .8]])],
    star=[_star()],
    heart=[_heart()],
    ring=[_arc(0, 2 * np.pi), _arc(0, 2 * np.pi, 0.55)],
    cross=[np.array([[-.33, -1], [.33, -1], [.33, -.33], [1, -.33], [1, .33], [.33, .33],
                     [.33, 1], [-.33, 1], [-.33, .33], [-1, .33], [-1, -.33], [-.33, -.33]])],
    crescent=[_crescent()],
    arrow=[np.array([[1, 0], [.1, -.85], [.1, -.33], [-1, -.33], [-1, .33], [.1, .33], [.1, .85]])],
    hourglass=[np.array([[-.85, -1], [.85, -1], [.16, 0], [.85, 1], [-.85, 1], [-.16, 0]])],
)
"""Closed outlines within about [-1, 1]; a second outline is a hole."""


def draw_shape(name: str, hw: tuple[int, int], centre: tuple[float, float], size: float, angle: float = 0.0,
               stretch: float = 1.0) -> np.ndarray:
    """Coverage of every pixel by a shape.

    Args:
        name: One of ``SHAPES``.
        hw: Height and width of the canvas in pixels.
        centre: x and y of the centre in pixels.
        size: Side of the square that the unrotated outline fills, in pixels.
        angle: Clockwise rotation in radians.
        stretch: Width is multiplied and height divided by it.

    Returns:
        Coverage (H, W) float32 in [0, 1].
    """
    cos, sin = np.cos(angle), np.sin(angle)
    rotation = np.array([[cos, sin], [-sin, cos]])
    scale = size / 2 * np.array([stretch, 1 / stretch])
    points = [((outline * scale) @ rotation + centre) * SUPERSAMPLING for outline in OUTLINES[name]]
    canvas = np.zeros((hw[0] * SUPERSAMPLING, hw[1] * SUPERSAMPLING), np.uint8)
    cv2.fillPoly(canvas, [np.round(p).astype(np.int32) for p in points], 255)
    return cv2.resize(canvas, hw[::-1], interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def _wave(x: np.ndarray, duty: float = 0.5) -> np.ndarray:
    """Square wave of period 1 with soft edges: 1 where the phase is below ``duty``."""
    distance = duty / 2 - np.abs((x % 1) - duty / 2)
    return np.clip(0.5 + 8 * distance, 0, 1)


def _checks(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    a, b = _wave(x / 1.6), _wave(y / 1.6)
    return a * b + (1 - a) * (1 - b)


def _dots(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    radius = np.hypot(x % 1 - 0.5, y % 1 - 0.5)
    return np.clip(0.5 + 8 * (0.3 - radius), 0, 1)


def _bricks(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    shifted = x / 2 + 0.5 * (np.floor(y) % 2)
    return np.minimum(_wave(y, 0.8), _wave(shifted, 0.9))


def _zigzags(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return _wave(y + 1.2 * np.abs((x / 1.6) % 1 - 0.5))


_PATTERNS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = dict(
    stripes=lambda x, y: _wave(x),
    checks=_checks,
    dots=_dots,
    bricks=_bricks,
    waves=lambda x, y: _wave(y + 0.35 * np.sin(2 * np.pi * x / 2)),
    zigzags=_zigzags,
    mesh=lambda x, y: np.maximum(_wave(x, 0.22), _wave(y, 0.22)),
)


def draw_clouds(hw: tuple[int, int], period: float, rng: Generator) -> np.ndarray:
    """Smooth noise (H, W) float32 in [0, 1] whose blobs are about a period wide.

    Args:
        hw: Height and width in pixels.
        period: In pixels.
        rng: Source of the noise.
    """
    cells = [max(2, int(np.ceil(side / period)) + 1) for side in hw]
    noise = rng.random(cells, dtype=np.float32)
    return np.clip(cv2.resize(noise, hw[::-1], interpolation=cv2.INTER_CUBIC), 0, 1)


def draw_texture(name: str, hw: tuple[int, int], rng: Generator, period: tuple[float, float] = (7, 13)) -> np.ndarray:
    """A canvas full of one texture in two dull, random tones.

    Args:
        name: One of ``TEXTURES``.
        hw: Height and width in pixels.
        rng: Source of period, phase, angle and tones.
        period: Range of the pattern's period in pixels.

    Returns:
        Image (H, W, 3) float32 in [0, 255].
    """
    pattern = draw_pattern(name, hw, rng.uniform(*period), rng)
    dark = rng.uniform(40, 130) + rng.uniform(-25, 25, 3)
    bright = dark + rng.uniform(55, 110) + rng.uniform(-15, 15, 3)
    return (dark + (bright - dark) * pattern[..., None]).astype(np.float32)


def draw_pattern(name: str, hw: tuple[int, int], period: float, rng: Generator) -> np.ndarray:
    """A canvas full of the pattern of one texture, (H, W) float32 in [0, 1].

    Args:
        name: One of ``TEXTURES``.
        hw: Height and width in pixels.
        period: Of the pattern, in pixels.
        rng: Source of angle and phase.
    """
    angle = rng.uniform(0, np.pi) if name == 'stripes' else rng.uniform(-0.3, 0.3)
    if name == 'clouds':
        return draw_clouds(hw, period, rng)
    y, x = np.mgrid[:hw[0], :hw[1]].astype(np.float32) / period
    cos, sin = np.cos(angle), np.sin(angle)
    return _PATTERNS[name](cos * x + sin * y + 7 + rng.random(), cos * y - sin * x + 7 + rng.random())


def paint(canvas: np.ndarray, coverage: np.ndarray, colour: str, rng: Generator) -> np.ndarray:
    """Lays a lightly shaded colour over a canvas where a shape covers it.

    Args:
        canvas: Image (H, W, 3) float32.
        coverage: Coverage (H, W) in [0, 1].
        colour: One of ``COLOURS``.
        rng: Source of tint and shading.

    Returns:
        The painted image (H, W, 3) float32.
    """
    tone = np.array(COLOURS[colour]) + rng.uniform(-18, 18, 3)
    shade = 0.82 + 0.3 * draw_clouds(coverage.shape, 10, rng)
    return canvas + coverage[..., None] * (tone * shade[..., None] - canvas)


def add_grain(canvas: np.ndarray, rng: Generator, sigma: float = 5.0) -> np.ndarray:
    """Adds pixel noise and rounds: (H, W, 3) float32 -> (H, W, 3) uint8."""
    noise = rng.standard_normal(canvas.shape, dtype=np.float32) * sigma
    return np.clip(canvas + noise, 0, 255).astype(np.uint8)
