"""The 64 px image-caption pairs of the tiny Creatures CLIP: windows into scenes, with captions like the web's."""
import sys
from dataclasses import dataclass
from multiprocessing import Pool
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator

from rsc_mm.datasets.creatures import STUFF, THING_PERIOD, THINGS, Part, draw_parts, draw_stuff, paint_thing
from rsc_mm.datasets.creatures_scene import CREATURES, STUFF_PERIOD, THING_SIDE
from rsc_mm.datasets.shapes import COLOURS, TEXTURES, add_grain, draw_pattern
from rsc_mm.datasets.shapes_scene import part_canvas

sys.path.insert(0, str(Path(__file__).parents[1] / 'shapes_clip'))
from samples import IMAGE_SIZE, TEMPLATES, Sample, as_crop  # noqa: E402

FILLED = 0.37
"""Share of the square of its length that a thing fills."""
ZOOM = 0.5
"""Windows are drawn at this share of the scenes' resolution, which is above the towers' 64 px."""
MOSAIC_PERIOD = (3, 9)
"""Period of the patterns of a mosaic in pixels, about that of the windows."""
NAMED = dict(thing=0.95, aside=0.6, second=0.35, stuff=0.1)
"""How often a caption names the main thing, a thing at the border alone, a second thing, and stuff beside a thing."""


@dataclass
class Placed:
    """A thing in a window: class, colour, length in pixels, whether it is the main one, its parts, visible pixels."""

    name: str
    colour: str
    size: float
    is_main: bool
    parts: list[Part]

    def __post_init__(self) -> None:
        self.coverage = np.max([part.coverage for part in self.parts], axis=0)
        self.visible = self.coverage

    def is_seen(self) -> bool:
        """Whether enough of it is visible to be named: 4 % of the window or two fifths of the thing."""
        return self.visible.sum() > min(0.04 * self.visible.size, 0.4 * FILLED * self.size ** 2)


def draw_sample(rng: Generator) -> Sample:
    """Draws one training pair: a window around a thing (70 %), one anywhere (18 %) or one of stuff alone (12 %)."""
    kind = rng.choice(['around', 'anywhere', 'stuff'], p=[0.7, 0.18, 0.12])
    size = ZOOM * np.exp(rng.uniform(*np.log(THING_SIDE)))
    longest = size * rng.uniform(0.8, 1.7) if kind == 'around' else ZOOM * np.exp(rng.uniform(*np.log((48, 192))))
    hw = _window(longest, rng)
    canvas, stuff = _background(hw, rng)
    things: list[Placed] = []
    if kind == 'around':
        things.append(_place(hw, size, 0.12, True, rng))
        things += [_place(hw, ZOOM * np.exp(rng.uniform(*np.log(THING_SIDE))), 0.8, False, rng)
                   for _ in range(rng.choice(3, p=[0.4, 0.4, 0.2]))]
    elif kind == 'anywhere':
        things += [_place(hw, ZOOM * np.exp(rng.uniform(*np.log(THING_SIDE))), 0.9, False, rng)
                   for _ in range(rng.integers(1, 3))]
    for thing in things[::rng.choice([-1, 1])]:
        canvas = _paint(canvas, thing, things, rng)
    return _sample(canvas, things, stuff, rng)


def draw_single(name: str, rng: Generator) -> np.ndarray:
    """A held-out test image (64, 64, 3) uint8 of one class: a thing on one stuff, or stuff alone."""
    size = ZOOM * np.exp(rng.uniform(*np.log(THING_SIDE)))
    hw = _window(1.4 * size, rng)
    if name in STUFF:
        return as_crop(add_grain(draw_stuff(name, hw, ZOOM * rng.uniform(*STUFF_PERIOD), rng), rng))
    canvas = draw_stuff(str(rng.choice(list(STUFF))), hw, ZOOM * rng.uniform(*STUFF_PERIOD), rng)
    parts = draw_parts(name, hw, (hw[1] / 2, hw[0] / 2), size, rng)
    period = size * rng.uniform(*THING_PERIOD)
    return as_crop(add_grain(paint_thing(canvas, parts, str(rng.choice(list(COLOURS))), period, rng), rng))


def draw_mosaic(rng: Generator) -> tuple[np.ndarray, np.ndarray]:
    """An image (64, 64, 3) uint8 of 2 to 6 regions, each of one pattern in a tone of its own, and the pattern's number
    for every patch of 8 px (8, 8), -1 where none fills more than three quarters of it."""
    hw = IMAGE_SIZE, IMAGE_SIZE
    image, label = np.zeros((*hw, 3), np.float32), np.zeros(hw, int)
    for region in part_canvas(hw, rng, most=6):
        number = rng.integers(len(TEXTURES))
        pattern = draw_pattern(TEXTURES[number], hw, np.exp(rng.uniform(*np.log(MOSAIC_PERIOD))), rng)
        if rng.random() < 0.5:
            tones = [(np.array(COLOURS[rng.choice(list(COLOURS))]) + rng.uniform(-30, 30, 3)) * x for x in (0.45, 1.05)]
        else:
            dark = rng.uniform(30, 130) + rng.uniform(-30, 30, 3)
            tones = [dark, dark + rng.uniform(55, 110) + rng.uniform(-15, 15, 3)]
        image[region] = (tones[0] + (tones[1] - tones[0]) * pattern[..., None])[region]
        label[region] = number
    shares = np.eye(len(TEXTURES))[label].reshape(8, 8, 8, 8, -1).mean((1, 3))  # (8, 8, number of patterns)
    return as_crop(add_grain(image, rng)), np.where(shares.max(2) > 0.75, shares.argmax(2), -1)


def _window(longest: float, rng: Generator) -> tuple[int, int]:
    other = longest if rng.random() < 0.4 else longest * rng.uniform(0.6, 1)
    hw = max(16, int(longest)), max(16, int(other))
    return hw if rng.random() < 0.5 else hw[::-1]


def _background(hw: tuple[int, int], rng: Generator) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """One stuff, or two on half of the windows, and where each lies (H, W)."""
    regions = [np.ones(hw, bool)] if rng.random() < 0.5 else part_canvas(hw, rng, most=2)
    names = [str(name) for name in rng.choice(list(STUFF), len(regions), replace=False)]
    canvas = np.zeros((*hw, 3), np.float32)
    for name, region in zip(names, regions):
        canvas = np.where(region[..., None], draw_stuff(name, hw, ZOOM * rng.uniform(*STUFF_PERIOD), rng), canvas)
    return canvas, dict(zip(names, regions))


def _place(hw: tuple[int, int], size: float, spread: float, is_main: bool, rng: Generator) -> Placed:
    """A thing within ``spread`` of the middle, in shares of half the window."""
    name = str(rng.choice(list(THINGS)))
    centre = (hw[1] / 2 * (1 + rng.uniform(-spread, spread)), hw[0] / 2 * (1 + rng.uniform(-spread, spread)))
    return Placed(name, str(rng.choice(list(COLOURS))), size, is_main, draw_parts(name, hw, centre, size, rng))


def _paint(canvas: np.ndarray, thing: Placed, things: list[Placed], rng: Generator) -> np.ndarray:
    for other in things:
        if other is not thing:
            other.visible = other.visible * (1 - thing.coverage)
    thing.visible = thing.coverage
    return paint_thing(canvas, thing.parts, thing.colour, thing.size * rng.uniform(*THING_PERIOD), rng)


def _sample(canvas: np.ndarray, things: list[Placed], stuff: dict[str, np.ndarray], rng: Generator) -> Sample:
    """The image with a caption; facts are the names of what is seen."""
    seen = [thing for thing in things if thing.is_seen()]
    free = 1 - np.max([thing.coverage for thing in things] or [np.zeros(canvas.shape[:2])], axis=0)
    shares = {name: (region * free).mean() for name, region in stuff.items()}
    ground = [name for name in sorted(shares, key=shares.get, reverse=True) if shares[name] > 0.1] or [*stuff][:1]
    named = [thing.name for thing in sorted(seen, key=lambda thing: (not thing.is_main, -thing.visible.sum()))]
    chance = NAMED['thing' if any(thing.is_main for thing in seen) else 'aside']
    chosen = named[:1 + (rng.random() < NAMED['second'])] if named and rng.random() < chance else []
    text = ' and '.join(f"{'an' if name[0] in 'aeiou' else 'a'} {name}" for name in chosen)
    if not chosen or rng.random() < NAMED['stuff']:
        text = f'{text} on a {ground[0]}' if text else f'a {ground[0]}'
        chosen = [*chosen, ground[0]]
    facts, stated = np.zeros((2, len(CREATURES.classes)), bool)
    facts[[CREATURES.classes.index(name) for name in [*named, *ground]]] = True
    stated[[CREATURES.classes.index(name) for name in chosen]] = True
    return Sample(as_crop(add_grain(canvas, rng)), str(rng.choice(TEMPLATES)).format(text), facts, stated)


def _draw_many(job: tuple[int, int, int]) -> list[Sample]:
    cv2.setNumThreads(1)
    seed, start, stop = job
    return [draw_sample(np.random.default_rng((seed, index))) for index in range(start, stop)]


def draw_pool(seed: int, count: int, processes: int = 1, chunk: int = 1000) -> list[Sample]:
    """Draws samples 0 .. count of a seed; the result does not depend on the number of processes."""
    jobs = [(seed, start, min(start + chunk, count)) for start in range(0, count, chunk)]
    with Pool(processes) as pool:
        return [sample for part in pool.imap(_draw_many, jobs) for sample in part]
