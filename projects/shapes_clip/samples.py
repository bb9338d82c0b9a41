"""The 64 px image-caption pairs of the tiny Shapes CLIP: at most two shapes on at most two textures."""
from dataclasses import dataclass
from multiprocessing import Pool

import cv2
import numpy as np
from numpy.random import Generator

from rsc_mm.datasets.shapes import COLOURS, SHAPES, TEXTURES, add_grain, draw_shape, draw_texture, paint

IMAGE_SIZE = 64
COLOUR_NAMES = tuple(COLOURS)
NUM_FACTS = len(SHAPES) + len(TEXTURES) + len(COLOURS) + len(COLOURS) * len(SHAPES)
TEMPLATES = ('{}', '{}.', 'a photo of {}', 'a photo of {}.', 'a picture of {}.', 'this is {}.',
             'this is a photo of {}.', 'there is {} in the scene.', 'there is {}.', 'an image of {}',
             'a good photo of {}.', 'a close-up of {}.')


@dataclass
class Sample:
    """One pair: image (64, 64, 3) uint8, caption, facts (F,) bool true of the image, facts the caption states."""

    image: np.ndarray
    caption: str
    facts: np.ndarray
    stated: np.ndarray


@dataclass
class Placed:
    """A thing on the canvas: its names, how much it strikes the eye in [0, 1], and its pixels (H, W) in [0, 1]."""

    shape: str
    colour: str
    salience: float
    coverage: np.ndarray

    def __post_init__(self) -> None:
        self.visible = self.coverage

    def is_seen(self) -> bool:
        """Whether enough of it is visible to be named."""
        return self.visible.sum() > max(12, 0.45 * self.coverage.sum())


def fact_ids(shape: str | None = None, colour: str | None = None, texture: str | None = None) -> list[int]:
    """Positions of what a phrase states: a shape, a texture, and with a colour also the colour and the pair."""
    ids = []
    if shape is not None:
        ids.append(SHAPES.index(shape))
    if texture is not None:
        ids.append(len(SHAPES) + TEXTURES.index(texture))
    if colour is not None:
        tone = COLOUR_NAMES.index(colour)
        start = len(SHAPES) + len(TEXTURES)
        ids += [start + tone, start + len(COLOURS) + tone * len(SHAPES) + SHAPES.index(shape)]
    return ids


def _facts(ids: list[int]) -> np.ndarray:
    facts = np.zeros(NUM_FACTS, bool)
    facts[ids] = True
    return facts


def _with_article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _canvas_size(rng: Generator) -> tuple[int, int]:
    # Crops of scenes come in every size and aspect; both are drawn here and resized to 64 px like a crop is.
    longest = int(np.exp(rng.uniform(np.log(28), np.log(112))))
    other = longest if rng.random() < 0.4 else max(20, int(longest * rng.uniform(0.5, 1)))
    return (longest, other) if rng.random() < 0.5 else (other, longest)


def _background(hw: tuple[int, int], rng: Generator) -> tuple[np.ndarray, list[str]]:
    first, second = rng.choice(TEXTURES, 2, replace=False)
    canvas = draw_texture(first, hw, rng)
    if rng.random() < 0.6:
        return canvas, [str(first)]
    angle = rng.choice([0, np.pi / 2, np.pi, -np.pi / 2]) + rng.uniform(-0.3, 0.3)
    y, x = np.mgrid[:hw[0], :hw[1]]
    side = (x / hw[1] - 0.5) * np.cos(angle) + (y / hw[0] - 0.5) * np.sin(angle)
    share = rng.uniform(0.15, 0.4)  # of the second texture: the first one is always the larger
    canvas = np.where((side > 0.5 - share)[..., None], draw_texture(second, hw, rng), canvas)
    return canvas, [str(first), str(second)]


def _place(hw: tuple[int, int], rng: Generator, side: tuple[float, float], spread: float) -> Placed:
    """A thing whose side is a share of the canvas, within ``spread`` of the middle; the larger, the more salient."""
    shape = str(rng.choice(SHAPES))
    share = rng.uniform(*side)
    centre = (hw[1] * (0.5 + rng.uniform(-spread, spread)), hw[0] * (0.5 + rng.uniform(-spread, spread)))
    angle, stretch = rng.uniform(-0.3, 0.3), rng.uniform(0.88, 1.14)
    coverage = draw_shape(shape, hw, centre, min(hw) * share, angle, stretch)
    return Placed(shape, str(rng.choice(COLOUR_NAMES)), share, coverage)


def _place_aside(hw: tuple[int, int], rng: Generator) -> Placed:
    """A thing of any size near a border, as in the crop of a region of stuff: not salient."""
    shape = str(rng.choice(SHAPES))
    offset = [rng.uniform(0.3, 0.5) * rng.choice([-1, 1]), rng.uniform(-0.5, 0.5)][::rng.choice([-1, 1])]
    centre = (hw[1] * (0.5 + offset[0]), hw[0] * (0.5 + offset[1]))
    coverage = draw_shape(shape, hw, centre, min(hw) * rng.uniform(0.25, 0.8), rng.uniform(-0.3, 0.3))
    return Placed(shape, str(rng.choice(COLOUR_NAMES)), 0.0, coverage)


def _things(hw: tuple[int, int], rng: Generator, aside: float) -> list[Placed]:
    """None, one or two things, the main one first: large and central, or (a quarter of the images) small, or aside."""
    if aside and rng.random() < aside:
        return [_place_aside(hw, rng) for _ in range(rng.choice([1, 2]))]
    if rng.random() < 0.25:
        return [_place(hw, rng, (0.15, 0.5), 0.4) for _ in range(rng.choice([1, 2]))]
    things = [_place(hw, rng, (0.5, 0.95), 0.1), _place(hw, rng, (0.3, 0.9), 0.55)]
    return things[:rng.choice([0, 1, 2], p=[0.15, 0.35, 0.5])]


def draw_sample(rng: Generator, aside: float = 0.0) -> Sample:
    """Draws one training pair.

    Args:
        rng: Source of everything.
        aside: Share of the images whose things lie near the border.

    Returns:
        The image on a canvas of random size, resized and padded as a crop is, with a caption that is true of it.
    """
    hw = _canvas_size(rng)
    canvas, textures = _background(hw, rng)
    things = _things(hw, rng, aside)
    for thing in things[::rng.choice([-1, 1])]:  # half of the time the other thing covers a part of the main one
        canvas = paint(canvas, thing.coverage, thing.colour, rng)
        for other in things:
            if other is not thing:
                other.visible = other.visible * (1 - thing.coverage)
        thing.visible = thing.coverage
    seen = [thing for thing in things if thing.is_seen()]
    caption, stated = _caption(seen, textures, rng)
    facts = sum([fact_ids(thing.shape, thing.colour) for thing in seen], [])
    facts += sum([fact_ids(texture=name) for name in textures], [])
    return Sample(as_crop(add_grain(canvas, rng)), caption, _facts(facts), _facts(stated))


def draw_single(name: str, rng: Generator) -> np.ndarray:
    """A held-out test image (64, 64, 3) uint8 of one class: a thing on a random texture, or a texture alone."""
    hw = _canvas_size(rng)
    if name in TEXTURES:
        return as_crop(add_grain(draw_texture(name, hw, rng), rng))
    coverage = draw_shape(name, hw, (hw[1] / 2, hw[0] / 2), min(hw) * rng.uniform(0.5, 0.95), rng.uniform(-0.3, 0.3))
    canvas = paint(draw_texture(str(rng.choice(TEXTURES)), hw, rng), coverage, str(rng.choice(COLOUR_NAMES)), rng)
    return as_crop(add_grain(canvas, rng))


def as_crop(image: np.ndarray) -> np.ndarray:
    """Longest side to 64 px, centred on black: (H, W, 3) -> (64, 64, 3) uint8."""
    height, width = image.shape[:2]
    scale = IMAGE_SIZE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    resized = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    padded = np.zeros((IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8)
    top, left = (IMAGE_SIZE - size[1]) // 2, (IMAGE_SIZE - size[0]) // 2
    padded[top:top + size[1], left:left + size[0]] = resized
    return padded


def _caption(things: list[Placed], textures: list[str], rng: Generator) -> tuple[str, list[int]]:
    """Names what is salient: large things nearly always, stuff where things are small or absent."""
    largest = max((thing.salience for thing in things), default=0)
    name_things = bool(things) and rng.random() < np.clip((largest - 0.25) / 0.3, 0.1, 0.97)
    phrases, ids = [], []
    for thing in things[:1 + (rng.random() < 0.6)] if name_things else []:
        colour = thing.colour if rng.random() < 0.5 else None
        phrases.append(_with_article(f'{colour} {thing.shape}' if colour else thing.shape))
        ids += fact_ids(thing.shape, colour)
    text = ' and '.join(phrases)
    if not text or rng.random() < 0.3:
        chosen = textures[:1 + (rng.random() < 0.35)]
        # Prompt sets put an article before every name; half of the captions that name stuff alone do the same.
        first = _with_article(chosen[0]) if not text and rng.random() < 0.5 else chosen[0]
        stuff = ' and '.join([first, *chosen[1:]])
        text = f'{text} on {stuff}' if text else stuff
        ids += sum([fact_ids(texture=name) for name in chosen], [])
    return str(rng.choice(TEMPLATES)).format(text), ids


def _draw_many(job: tuple[int, int, int, float]) -> list[Sample]:
    cv2.setNumThreads(1)
    seed, start, stop, aside = job
    return [draw_sample(np.random.default_rng((seed, index)), aside) for index in range(start, stop)]


def draw_pool(seed: int, count: int, aside: float = 0.0, processes: int = 2, chunk: int = 1000) -> list[Sample]:
    """Draws samples 0 .. count of a seed in several processes; the result does not depend on their number."""
    jobs = [(seed, start, min(start + chunk, count), aside) for start in range(0, count, chunk)]
    with Pool(processes) as pool:
        return [sample for part in pool.imap(_draw_many, jobs) for sample in part]
