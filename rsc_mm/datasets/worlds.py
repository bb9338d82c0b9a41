"""What a generated world is, for the code that writes it."""
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from numpy.random import Generator


@dataclass(frozen=True)
class World:
    """The classes of a generated world, and how its scenes are drawn, described and proposed.

    Attributes:
        name: Also the marker file's, in small letters.
        version: Raised when the same seed gives other images.
        things: Class names; the COCO category id is the position among things and stuff + 1.
        stuff: Class names.
        novel: Things that `instances_train_base.json` leaves out.
        draw_scene: Draws a `Scene` from a random generator.
        describe: Captions of a scene.
        boxes_of_a_thing: Proposals near every thing.
        jitter: Standard deviation of a side's shift of these, relative to the box.
        random_boxes: Proposals anywhere.
        splits: Default number of images. `val` is for reported numbers only; recipes are tuned on `dev`.
    """

    name: str
    version: int
    things: tuple[str, ...]
    stuff: tuple[str, ...]
    novel: tuple[str, ...]
    draw_scene: Callable[[Generator], Any]
    describe: Callable[[Any], list[str]]
    boxes_of_a_thing: int = 2
    jitter: float = 0.1
    random_boxes: int = 8
    splits: dict[str, int] = field(default_factory=lambda: dict(train=2000, val=500, dev=500))

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in label order, things first."""
        return self.things + self.stuff

    @property
    def categories(self) -> list[dict]:
        """COCO categories of all classes."""
        return [dict(id=i, name=name, isthing=int(name in self.things),
                     supercategory='thing' if name in self.things else 'stuff')
                for i, name in enumerate(self.classes, 1)]

    @property
    def thing_categories(self) -> list[dict]:
        """COCO categories of the things, each with its ``split``, base or novel."""
        return [dict(category, split='novel' if category['name'] in self.novel else 'base')
                for category in self.categories if category['isthing']]
