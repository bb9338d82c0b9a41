"""Shapes, the scenes: several things that overlap on several regions of stuff, with exact visible masks."""
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from .shapes import COLOURS, SHAPES, TEXTURES, add_grain, draw_shape, draw_texture, paint

SIZES = ((128, 128), (96, 128), (128, 96))
SIZE_SHARES = (0.5, 0.3, 0.2)
THING_SIDE = (24, 60)
"""Smallest and largest side of a thing in pixels, log-uniform."""
MIN_VISIBLE = 0.4
"""Share of a thing that later things never hide."""
MIN_PIXELS = 64


@dataclass
class Thing:
    """One drawn object: class name, colour name, visible pixels (H, W) bool and number of pixels before occlusion."""

    shape: str
    colour: str
    mask: np.ndarray
    whole: int


@dataclass
class Scene:
    """A drawn image (H, W, 3) uint8 RGB, its things from back to front, and its stuff: texture name -> mask (H, W)."""

    image: np.ndarray
    things: list[Thing]
    stuff: dict[str, np.ndarray]


def draw_scene(rng: Generator) -> Scene:
    """Draws one scene of 96 to 128 px: 2 to 4 textured regions under 3 to 6 things of 24 to 60 px.

    Every pixel belongs to one thing or one texture, except those of a texture of which less than 64 pixels are seen:
    they have no label. Colour and texture are independent of the class of a thing.

    Args:
        rng: Source of everything.

    Returns:
        The scene; masks do not overlap.
    """
    hw = SIZES[rng.choice(len(SIZES), p=SIZE_SHARES)]
    regions = part_canvas(hw, rng)
    names = [str(name) for name in rng.choice(TEXTURES, len(regions), replace=False)]
    canvas = np.zeros((*hw, 3), np.float32)
    for name, region in zip(names, regions):
        canvas = np.where(region[..., None], draw_texture(name, hw, rng), canvas)
    things: list[Thing] = []
    for _ in range(rng.integers(3, 7)):
        canvas = _add_thing(canvas, things, rng)
    covered = np.any([thing.mask for thing in things], axis=0)
    stuff = {name: region & ~covered for name, region in zip(names, regions)}
    stuff = {name: mask for name, mask in stuff.items() if mask.sum() >= MIN_PIXELS}
    return Scene(add_grain(canvas, rng), things, stuff)


def part_canvas(hw: tuple[int, int], rng: Generator, most: int = 4) -> list[np.ndarray]:
    """2 to ``most`` masks that part the canvas: the largest region is cut along a wavy line, again and again."""
    regions = [np.ones(hw, bool)]
    for _ in range(rng.integers(1, most)):
        largest = regions.pop(int(np.argmax([region.sum() for region in regions])))
        side = _side_of_cut(largest, rng)
        regions += [largest & side, largest & ~side]
    return regions


def _side_of_cut(region: np.ndarray, rng: Generator) -> np.ndarray:
    """One side (H, W) bool of a line through the middle third of a region, across its longer axis."""
    ys, xs = np.nonzero(region)
    y, x = np.mgrid[:region.shape[0], :region.shape[1]].astype(np.float32)
    along, across = (y, x) if np.ptp(xs) > np.ptp(ys) else (x, y)
    low, high = np.quantile(across[region], [0.35, 0.65])
    tilt, phase, length = rng.uniform(-0.15, 0.15), rng.uniform(0, 2 * np.pi), rng.uniform(40, 90)
    line = rng.uniform(low, high) + tilt * (along - along[region].mean())
    return across > line + rng.uniform(1, 5) * np.sin(2 * np.pi * along / length + phase)


def _add_thing(canvas: np.ndarray, things: list[Thing], rng: Generator) -> np.ndarray:
    """Paints a thing where it hides no other too much, and updates the visible masks; gives up after 30 places."""
    shape, colour = str(rng.choice(SHAPES)), str(rng.choice(list(COLOURS)))
    hw = canvas.shape[:2]
    for _ in range(30):
        size = np.exp(rng.uniform(*np.log(THING_SIDE)))
        margin = 0.4 * size  # a little may stick out of the image
        centre = (rng.uniform(margin, hw[1] - margin), rng.uniform(margin, hw[0] - margin))
        coverage = draw_shape(shape, hw, centre, size, rng.uniform(-0.3, 0.3), rng.uniform(0.88, 1.14))
        mask = coverage > 0.5
        if all((thing.mask & ~mask).sum() >= MIN_VISIBLE * thing.whole for thing in things):
            for thing in things:
                thing.mask &= ~mask
            things.append(Thing(shape, colour, mask, int(mask.sum())))
            return paint(canvas, coverage, colour, rng)
    return canvas


def describe(scene: Scene, coloured: bool) -> str:
    """A caption that names everything in the scene, things from large to small, then the stuff.

    Args:
        scene: The scene.
        coloured: Whether the colours are named too.

    Returns:
        For example 'a red star, a blue ring and an orange arrow on stripes and dots.'
    """
    things = sorted(scene.things, key=lambda thing: -int(thing.mask.sum()))
    nouns = [f'{thing.colour} {thing.shape}' if coloured else thing.shape for thing in things]
    phrases = [f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}" for noun in nouns]
    stuff = sorted(scene.stuff, key=lambda name: -int(scene.stuff[name].sum()))
    return f'{_enumerate(phrases)} on {_enumerate(stuff)}.'


def _enumerate(phrases: list[str]) -> str:
    return ' and '.join([', '.join(phrases[:-1]), phrases[-1]]) if len(phrases) > 1 else phrases[0]
