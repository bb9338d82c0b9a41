"""Creatures, the drawing: things of several patterned parts on stuff of two mixed patterns, all from eight patterns.

No pattern names a class: every one is a part of four or five kinds of things and of two kinds of stuff, so that a place
alone says a little and its surroundings decide. A thing's colour is its own and says nothing of its class.
"""
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator

from .shapes import COLOURS, TEXTURES, draw_clouds, draw_pattern

SUPERSAMPLING = 2

THINGS: dict[str, tuple[str, str, str]] = dict(
    beetle=('stripes', 'dots', 'mesh'),
    crab=('dots', 'checks', 'waves'),
    gecko=('checks', 'zigzags', 'stripes'),
    heron=('waves', 'bricks', 'dots'),
    ibex=('bricks', 'mesh', 'checks'),
    koala=('zigzags', 'clouds', 'bricks'),
    lynx=('mesh', 'waves', 'clouds'),
    moth=('clouds', 'stripes', 'zigzags'),
    newt=('stripes', 'bricks', 'waves'),
    otter=('dots', 'mesh', 'zigzags'),
    panda=('checks', 'clouds', 'mesh'),
    raven=('waves', 'zigzags', 'clouds'))
"""Kinds of things: the patterns of body, head and limbs; two kinds share at most two."""
NOVEL_THINGS = ('ibex', 'lynx', 'newt', 'panda')
STUFF: dict[str, tuple[str, str]] = {
    name: (TEXTURES[i], TEXTURES[(i + 1) % len(TEXTURES)])
    for i, name in enumerate(('meadow', 'gravel', 'brook', 'hedge', 'dune', 'thicket', 'marsh', 'plaza'))}
"""Kinds of stuff: the two patterns that lie in patches; neighbours in the list share one."""
THING_PERIOD = (0.07, 0.11)
"""Period of a part's pattern, as a share of the thing's side."""
PATCHES = 2.5
"""Width of a stuff's patches in periods of its patterns."""


@dataclass
class Part:
    """A part of a drawn thing: coverage (H, W) in [0, 1] and the name of its pattern."""

    coverage: np.ndarray
    pattern: str


def draw_parts(name: str, hw: tuple[int, int], centre: tuple[float, float], size: float, rng: Generator) -> list[Part]:
    """The parts of a thing in a random pose: 4 to 6 limbs around a body, and a head; under half of its box is filled.

    Args:
        name: One of ``THINGS``.
        hw: Height and width of the canvas in pixels.
        centre: x and y of the body's centre in pixels.
        size: Length of the thing in pixels.
        rng: Source of the pose.

    Returns:
        Limbs, body and head, from back to front; what a later part covers is not seen of an earlier one.
    """
    body, head, limb = THINGS[name]
    turn = rng.uniform(0, 2 * np.pi)
    count = int(rng.integers(4, 7))
    angles = turn + np.pi / count + np.arange(count) * 2 * np.pi / count + rng.uniform(-0.25, 0.25, count)
    limbs = [_capsule(angle, 0.5 * size, 0.15 * size * rng.uniform(0.85, 1.15)) + centre for angle in angles]
    forward = np.array([np.cos(turn), np.sin(turn)])
    outlines = [(limbs, limb), ([_ellipse(0.25 * size, 0.18 * size, turn) + centre], body),
                ([_ellipse(0.15 * size, 0.15 * size, 0) + centre + 0.33 * size * forward], head)]
    return [Part(_cover(group, hw), pattern) for group, pattern in outlines]


def paint_thing(canvas: np.ndarray, parts: list[Part], colour: str, period: float, rng: Generator) -> np.ndarray:
    """Lays the parts of a thing over a canvas, all in one tint of its colour.

    Args:
        canvas: Image (H, W, 3) float32.
        parts: From back to front.
        colour: One of ``COLOURS``.
        period: Of the patterns, in pixels.
        rng: Source of tint, phases and angles.

    Returns:
        The painted image (H, W, 3) float32.
    """
    tone, canvas = np.array(COLOURS[colour]) + rng.uniform(-30, 30, 3), canvas.copy()
    for part in parts:
        rows, columns = (np.flatnonzero(part.coverage.any(axis)) for axis in (1, 0))
        if not len(rows):  # outside the canvas
            continue
        place = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        cover, below = part.coverage[place][..., None], canvas[place]
        shade = 0.45 + 0.6 * draw_pattern(part.pattern, below.shape[:2], period, rng)
        canvas[place] = below + cover * (tone * shade[..., None] - below)
    return canvas


def draw_stuff(name: str, hw: tuple[int, int], period: float, rng: Generator) -> np.ndarray:
    """A canvas full of one stuff: patches of its two patterns in the same two dull, random tones.

    Args:
        name: One of ``STUFF``.
        hw: Height and width in pixels.
        period: Of the patterns, in pixels.
        rng: Source of tones, patches, phases and angles.

    Returns:
        Image (H, W, 3) float32 in [0, 255].
    """
    first, second = (draw_pattern(pattern, hw, period, rng) for pattern in STUFF[name])
    pattern = np.where(draw_clouds(hw, PATCHES * period, rng) > 0.5, first, second)
    dark = rng.uniform(30, 130) + rng.uniform(-30, 30, 3)
    bright = dark + rng.uniform(55, 110) + rng.uniform(-15, 15, 3)
    return (dark + (bright - dark) * pattern[..., None]).astype(np.float32)


def _cover(outlines: list[np.ndarray], hw: tuple[int, int]) -> np.ndarray:
    """Coverage (H, W) float32 in [0, 1] of every pixel by the union of convex outlines (P, 2)."""
    canvas = np.zeros((hw[0] * SUPERSAMPLING, hw[1] * SUPERSAMPLING), np.uint8)
    for outline in outlines:
        cv2.fillConvexPoly(canvas, np.round(outline * SUPERSAMPLING).astype(np.int32), 255)
    return cv2.resize(canvas, hw[::-1], interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def _ellipse(length: float, width: float, angle: float) -> np.ndarray:
    """The outline (40, 2) of an ellipse around 0 with these half axes."""
    t = np.linspace(0, 2 * np.pi, 40)
    return _rotated(np.stack([length * np.cos(t), width * np.sin(t)], axis=1), angle)


def _capsule(angle: float, length: float, width: float) -> np.ndarray:
    """The outline (40, 2) of a stick with a round end that starts at 0."""
    t = np.linspace(-np.pi / 2, np.pi / 2, 38)
    end = np.stack([length - width / 2 + width / 2 * np.cos(t), width / 2 * np.sin(t)], axis=1)
    return _rotated(np.concatenate([[[0, -width / 2]], end, [[0, width / 2]]]), angle)


def _rotated(points: np.ndarray, angle: float) -> np.ndarray:
    cos, sin = np.cos(angle), np.sin(angle)
    return points @ np.array([[cos, sin], [-sin, cos]])
