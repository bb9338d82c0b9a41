import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from rsc_mm.datasets.creatures import NOVEL_THINGS, STUFF, THINGS, draw_parts, draw_stuff
from rsc_mm.datasets.creatures_scene import CREATURES, MIN_VISIBLE, describe, draw_scene
from rsc_mm.datasets.shapes import TEXTURES
from rsc_mm.datasets.shapes_scene import Scene
from rsc_mm.datasets.shapes_world import mask_box, write_shapes


@pytest.fixture(scope='module')
def scenes() -> list[Scene]:
    return [draw_scene(np.random.default_rng((9, i))) for i in range(8)]


def test_no_pattern_names_a_class() -> None:
    assert (len(THINGS), len(STUFF)) == (12, 8) and set(NOVEL_THINGS) < set(THINGS)
    sets = [frozenset(parts) for parts in THINGS.values()]
    assert len(set(sets)) == 12 and all(len(parts) == 3 for parts in sets)
    of_things, of_stuff = (Counter(pattern for parts in world.values() for pattern in parts)
                           for world in (THINGS, STUFF))
    assert set(of_things) == set(TEXTURES) and set(of_things.values()) == {4, 5}
    assert set(of_stuff) == set(TEXTURES) and set(of_stuff.values()) == {2}


def test_things_are_large_thin_and_partly_hidden(scenes: list[Scene]) -> None:
    sides, filled = [], []
    for scene in scenes:
        every = np.array([thing.mask for thing in scene.things] + list(scene.stuff.values()))
        assert every.sum(0).max() == 1 and set(scene.stuff) <= set(STUFF)
        for thing in scene.things:
            assert thing.mask.sum() >= MIN_VISIBLE * thing.whole - 1
            *_, width, height = mask_box(thing.mask)
            sides.append(max(width, height))
            filled.append(thing.mask.sum() / width / height)
    assert np.mean(sides) > 12 * 8 and 0.3 < np.mean(filled) < 0.45


def test_captions_name_things_alone(scenes: list[Scene]) -> None:
    for scene in scenes:
        short, long = describe(scene)
        assert long.startswith(short[:-1]) and all(thing.shape in long for thing in scene.things)
        assert not any(name in long for name in STUFF)


def test_parts_and_stuff_are_of_their_patterns_and_repeat_with_their_seed() -> None:
    parts = [draw_parts('crab', (60, 80), (40, 30), 50, np.random.default_rng(2)) for _ in range(2)]
    assert [part.pattern for part in parts[0]] == ['waves', 'dots', 'checks']  # limbs, body, head
    assert all((a.coverage == b.coverage).all() and a.coverage.shape == (60, 80) for a, b in zip(*parts))
    first, second = (draw_stuff('dune', (40, 40), 9, np.random.default_rng(1)) for _ in range(2))
    assert first.shape == (40, 40, 3) and (first == second).all()


def test_the_data_set_has_the_layout_of_shapes(tmp_path: Path) -> None:
    counts = dict(train=2, val=0, dev=1)
    assert write_shapes(tmp_path / 'a', counts, processes=1, report=lambda line: None, world=CREATURES)
    assert not write_shapes(tmp_path / 'a', counts, report=lambda line: None, world=CREATURES)
    proposals = json.loads((tmp_path / 'a' / 'annotations' / 'proposals_train.json').read_text())
    things = json.loads((tmp_path / 'a' / 'annotations' / 'instances_train.json').read_text())
    assert len(proposals['annotations']) == 3 * len(things['annotations']) + 2 * 2
    assert {category['name'] for category in things['categories'] if category['split'] == 'novel'} == {*NOVEL_THINGS}
    with pytest.raises(FileExistsError, match='found no Shapes data set, expected'):
        write_shapes(tmp_path / 'a', counts)
