"""Creatures, the scenes: large things that hide each other on two or three kinds of stuff, with exact visible masks."""
import numpy as np
from numpy.random import Generator

from .creatures import NOVEL_THINGS, STUFF, THING_PERIOD, THINGS, draw_parts, draw_stuff, paint_thing
from .shapes import COLOURS, add_grain
from .shapes_scene import MIN_PIXELS, Scene, Thing, part_canvas
from .worlds import World

SIZES = ((192, 192), (144, 192), (192, 144))
SIZE_SHARES = (0.5, 0.3, 0.2)
THING_SIDE = (90, 160)
"""Smallest and largest length of a thing in pixels: 11 to 20 patches of 8 px."""
STUFF_PERIOD = (8, 14)
MIN_VISIBLE = 0.4
"""Share of a thing that later things never hide."""


def draw_scene(rng: Generator) -> Scene:
    """Draws one scene of 144 to 192 px: 2 or 3 regions of stuff under 2 to 4 things of 90 to 160 px.

    Args:
        rng: Source of everything.

    Returns:
        The scene; masks do not overlap, and stuff of which less than 64 pixels are seen has none.
    """
    hw = SIZES[rng.choice(len(SIZES), p=SIZE_SHARES)]
    regions = part_canvas(hw, rng, most=3)
    names = [str(name) for name in rng.choice(list(STUFF), len(regions), replace=False)]
    canvas = np.zeros((*hw, 3), np.float32)
    for name, region in zip(names, regions):
        canvas = np.where(region[..., None], draw_stuff(name, hw, rng.uniform(*STUFF_PERIOD), rng), canvas)
    things: list[Thing] = []
    for _ in range(rng.integers(2, 5)):
        canvas = _add_thing(canvas, things, rng)
    covered = np.any([thing.mask for thing in things], axis=0)
    stuff = {name: region & ~covered for name, region in zip(names, regions)}
    stuff = {name: mask for name, mask in stuff.items() if mask.sum() >= MIN_PIXELS}
    return Scene(add_grain(canvas, rng), things, stuff)


def _add_thing(canvas: np.ndarray, things: list[Thing], rng: Generator) -> np.ndarray:
    """Paints a thing where it hides no other too much, and updates the visible masks; gives up after 30 places."""
    name, colour = str(rng.choice(list(THINGS))), str(rng.choice(list(COLOURS)))
    hw = canvas.shape[:2]
    for _ in range(30):
        size = np.exp(rng.uniform(*np.log(THING_SIDE)))
        margin = 0.4 * size  # a little may stick out of the image
        centre = (rng.uniform(margin, hw[1] - margin), rng.uniform(margin, hw[0] - margin))
        parts = draw_parts(name, hw, centre, size, rng)
        mask = np.max([part.coverage for part in parts], axis=0) > 0.5
        if all((thing.mask & ~mask).sum() >= MIN_VISIBLE * thing.whole for thing in things):
            for thing in things:
                thing.mask &= ~mask
            things.append(Thing(name, colour, mask, int(mask.sum())))
            return paint_thing(canvas, parts, colour, size * rng.uniform(*THING_PERIOD), rng)
    return canvas


def describe(scene: Scene) -> list[str]:
    """Two captions as the web has them: the largest thing, and all things; stuff is not named.

    Args:
        scene: The scene.
    """
    names = [f"{'an' if thing.shape[0] in 'aeiou' else 'a'} {thing.shape}"
             for thing in sorted(scene.things, key=lambda thing: -int(thing.mask.sum()))]
    return [f'{names[0]}.', f"{' and '.join(names)}."]


CREATURES = World('Creatures', 1, tuple(THINGS), tuple(STUFF), NOVEL_THINGS, draw_scene, describe,
                  boxes_of_a_thing=3, jitter=0.2, random_boxes=2, splits=dict(train=1000, val=500, dev=200))
