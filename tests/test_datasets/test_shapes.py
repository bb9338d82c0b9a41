import errno
import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO

from rsc_mm.datasets import shapes_world
from rsc_mm.datasets.shapes import (
    BASE_SHAPES,
    CLASS_NAMES,
    COLOURS,
    NOVEL_SHAPES,
    OUTLINES,
    SHAPES,
    TEXTURES,
    draw_shape,
    draw_texture,
    paint,
)
from rsc_mm.datasets.shapes_scene import MIN_PIXELS, MIN_VISIBLE, Scene, Thing, describe, draw_scene
from rsc_mm.datasets.shapes_world import draw_proposals, mask_box, write_shapes

COUNTS = dict(train=6, val=3, dev=3)


def quiet(line: str) -> None:
    pass


@pytest.fixture(scope='module')
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('shapes') / 'world'
    assert write_shapes(root, COUNTS, seed=5, processes=1, report=quiet)
    return root


def load(root: Path, name: str) -> dict:
    return json.loads((root / 'annotations' / f'{name}.json').read_text())


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob('*')) if path.is_file()}


def segment_ids(root: Path, split: str, file_name: str) -> np.ndarray:
    bgr = cv2.imread(str(root / f'panoptic_{split}' / file_name)).astype(int)
    return bgr[..., 2] + 256 * bgr[..., 1] + 65536 * bgr[..., 0]


def scenes(number: int = 12) -> list[Scene]:
    return [draw_scene(np.random.default_rng((9, i))) for i in range(number)]


def test_names() -> None:
    assert (len(SHAPES), len(TEXTURES), len(COLOURS)) == (10, 8, 8)
    assert CLASS_NAMES == SHAPES + TEXTURES and len(set(CLASS_NAMES)) == 18
    assert set(BASE_SHAPES) | set(NOVEL_SHAPES) == set(SHAPES) and not set(BASE_SHAPES) & set(NOVEL_SHAPES)
    assert set(OUTLINES) == set(SHAPES)


def test_square_covers_its_pixels() -> None:
    # Half side 0.85 * 40 / 2 = 17 px around (32, 24): x 15..49, y 7..41; the outline's own pixel counts.
    coverage = draw_shape('square', (48, 64), (32, 24), 40)
    assert coverage.shape == (48, 64) and coverage[24, 32] == 1 and coverage[7:41, 15:49].min() == 1
    assert coverage[:6].max() == coverage[:, :14].max() == coverage[43:].max() == coverage[:, 51:].max() == 0


def test_ring_has_a_hole_of_its_radius() -> None:
    coverage = draw_shape('ring', (64, 64), (32, 32), 60)
    y, x = np.mgrid[:64, :64] + 0.5
    radius = np.hypot(x - 32, y - 32)
    assert coverage[radius < 14.5].max() == 0 and coverage[(radius > 19) & (radius < 28)].min() == 1


@pytest.mark.parametrize('name', SHAPES)
def test_shape_turns_and_stretches(name: str) -> None:
    area = draw_shape(name, (100, 100), (50, 50), 60).sum()
    assert 0.2 * 60 ** 2 < area < 60 ** 2
    assert draw_shape(name, (100, 100), (50, 50), 60, angle=1.0).sum() == pytest.approx(area, rel=0.03)
    assert draw_shape(name, (100, 100), (50, 50), 60, stretch=1.2).sum() == pytest.approx(area, rel=0.03)


@pytest.mark.parametrize('name', TEXTURES)
def test_texture_has_contrast_in_range(name: str) -> None:
    image = draw_texture(name, (40, 56), np.random.default_rng(0))
    assert image.shape == (40, 56, 3) and image.dtype == np.float32
    assert image.min() >= 0 and image.max() <= 290 and np.ptp(image, axis=(0, 1)).min() > 25


def test_textures_differ_in_pattern() -> None:
    # The same generator gives the same tones, so only the pattern differs.
    images = [draw_texture(name, (32, 32), np.random.default_rng(3)) for name in TEXTURES]
    distances = [np.abs(a - b).mean() for i, a in enumerate(images) for b in images[:i]]
    assert min(distances) > 10


def test_paint_touches_covered_pixels_only() -> None:
    canvas = np.zeros((20, 20, 3), np.float32)
    coverage = np.zeros((20, 20), np.float32)
    coverage[5:10, 5:10] = 1
    painted = paint(canvas, coverage, 'red', np.random.default_rng(0))
    assert not painted[coverage == 0].any()
    red, green, blue = painted[coverage == 1].mean(0)
    assert red > 2 * green and red > 2 * blue


def test_scene_masks_part_the_image() -> None:
    for scene in scenes():
        masks = [thing.mask for thing in scene.things] + list(scene.stuff.values())
        labelled = np.sum(masks, axis=0)
        assert labelled.max() == 1 and (labelled == 0).sum() < MIN_PIXELS * 4
        assert 3 <= len(scene.things) <= 6 and 2 <= len(scene.stuff) <= 4
        assert scene.image.shape == (*labelled.shape, 3) and max(labelled.shape) == 128


def test_things_stay_visible_and_some_are_occluded() -> None:
    shares = np.array([thing.mask.sum() / thing.whole for scene in scenes(30) for thing in scene.things])
    assert shares.min() >= MIN_VISIBLE and (shares < 0.9).mean() > 0.1 and (shares == 1).mean() > 0.3


def test_thing_pixels_have_the_colour() -> None:
    for scene in scenes(4):
        for thing in scene.things:
            found = np.median(scene.image[thing.mask], axis=0)
            distances = {name: np.abs(found - np.array(tone)).sum() for name, tone in COLOURS.items()}
            assert sorted(distances, key=distances.get).index(thing.colour) < 2


def test_classes_colours_and_textures_are_drawn_alike() -> None:
    drawn = scenes(150)
    for names, found in [(SHAPES, [t.shape for s in drawn for t in s.things]),
                         (list(COLOURS), [t.colour for s in drawn for t in s.things]),
                         (TEXTURES, [name for s in drawn for name in s.stuff])]:
        shares = np.array([found.count(name) for name in names]) / len(found)
        assert shares.min() > 0.5 / len(names) and shares.max() < 1.7 / len(names)


def test_mask_box_by_hand() -> None:
    mask = np.zeros((10, 20), bool)
    mask[3:7, 5:6] = mask[4, 5:12] = True
    assert mask_box(mask) == [5, 3, 7, 4]


def test_caption_by_hand() -> None:
    def mask(pixels: int) -> np.ndarray:
        return np.arange(100).reshape(10, 10) < pixels
    things = [Thing('star', 'red', mask(5), 5), Thing('arrow', 'orange', mask(9), 9), Thing('ring', 'blue', mask(7), 7)]
    scene = Scene(np.zeros((10, 10, 3), np.uint8), things, dict(dots=mask(3), waves=mask(20)))
    assert describe(scene, coloured=True) == 'an orange arrow, a blue ring and a red star on waves and dots.'
    assert describe(scene, coloured=False) == 'an arrow, a ring and a star on waves and dots.'


def test_proposals_are_inside_and_near_the_things() -> None:
    for index, scene in enumerate(scenes()):
        boxes = np.array(draw_proposals(scene, np.random.default_rng(index)))
        height, width = scene.image.shape[:2]
        assert len(boxes) == 2 * len(scene.things) + 8 and (boxes >= 0).all()
        assert (boxes[:, 0] + boxes[:, 2] <= width + 0.02).all() and (boxes[:, 1] + boxes[:, 3] <= height + 0.02).all()
        for number, thing in enumerate(scene.things):
            near = np.abs(boxes[2 * number] - mask_box(thing.mask)).max()
            assert near <= 0.61 * max(mask_box(thing.mask)[2:])


def test_counts_ids_and_splits(world: Path) -> None:
    ids, pictures = [], []
    for split, number in COUNTS.items():
        images = load(world, f'instances_{split}')['images']
        assert len(images) == number == len(list((world / split).glob('*.jpg')))
        assert images == load(world, f'panoptic_{split}')['images'] == load(world, f'captions_{split}')['images']
        ids += [image['id'] for image in images]
        pictures += [(world / split / image['file_name']).read_bytes() for image in images]
    assert len(set(ids)) == len(set(pictures)) == sum(COUNTS.values())


@pytest.mark.filterwarnings('ignore:__array__ implementation:DeprecationWarning')  # pycocotools with numpy 2
def test_instances_agree_with_panoptic(world: Path) -> None:
    for split in COUNTS:
        coco = COCO(str(world / 'annotations' / f'instances_{split}.json'))
        for entry in load(world, f'panoptic_{split}')['annotations']:
            ids = segment_ids(world, split, entry['file_name'])
            assert set(np.unique(ids)) - {0} == {segment['id'] for segment in entry['segments_info']}
            for segment in entry['segments_info']:
                assert segment['area'] == (ids == segment['id']).sum()
                assert segment['bbox'] == mask_box(ids == segment['id'])
            instances = coco.imgToAnns[entry['image_id']]
            things = [segment for segment in entry['segments_info'] if segment['category_id'] <= len(SHAPES)]
            assert len(instances) == len(things)
            for instance, segment in zip(instances, things):
                assert (coco.annToMask(instance) == (ids == segment['id'])).all()
                assert instance['bbox'] == segment['bbox'] and instance['category_id'] == segment['category_id']


def test_categories_and_base_split(world: Path) -> None:
    panoptic = load(world, 'panoptic_val')['categories']
    assert [category['name'] for category in panoptic] == list(CLASS_NAMES)
    assert [category['isthing'] for category in panoptic] == [1] * 10 + [0] * 8
    full, base = load(world, 'instances_train'), load(world, 'instances_train_base')
    assert full['images'] == base['images'] and full['categories'] == base['categories']
    split = {category['id']: category['split'] for category in full['categories']}
    assert sorted(split.values()).count('novel') == len(NOVEL_SHAPES)
    assert base['annotations'] == [a for a in full['annotations'] if split[a['category_id']] == 'base']
    assert 0 < len(base['annotations']) < len(full['annotations'])


def test_captions_name_what_is_there(world: Path) -> None:
    captions = load(world, 'captions_val')['annotations']
    for entry in load(world, 'panoptic_val')['annotations']:
        names = sorted(CLASS_NAMES[segment['category_id'] - 1] for segment in entry['segments_info'])
        texts = [caption['caption'] for caption in captions if caption['image_id'] == entry['image_id']]
        assert len(texts) == 2
        for text in texts:
            words = re.findall('[a-z]+', text)
            assert sorted(word for word in words if word in CLASS_NAMES) == names
        assert sum(word in COLOURS for word in re.findall('[a-z]+', texts[0])) == sum(name in SHAPES for name in names)


def test_proposals_file_is_class_agnostic_coco(world: Path) -> None:
    proposals = load(world, 'proposals_train')
    assert [category['name'] for category in proposals['categories']] == ['object']
    assert {annotation['image_id'] for annotation in proposals['annotations']} == {i['id'] for i in proposals['images']}
    assert len({annotation['id'] for annotation in proposals['annotations']}) == len(proposals['annotations'])


def test_same_seed_same_bytes_for_any_number_of_processes(world: Path, tmp_path: Path) -> None:
    write_shapes(tmp_path / 'again', COUNTS, seed=5, processes=2, report=quiet)
    assert files(tmp_path / 'again') == files(world)


def test_other_seed_other_images(world: Path, tmp_path: Path) -> None:
    write_shapes(tmp_path / 'other', dict(train=1, val=0, dev=0), seed=6, processes=1, report=quiet)
    assert (tmp_path / 'other/train/000001.jpg').read_bytes() != (world / 'train/000001.jpg').read_bytes()


def test_an_image_does_not_depend_on_the_number_of_images(world: Path, tmp_path: Path) -> None:
    write_shapes(tmp_path / 'small', dict(train=2, val=1, dev=0), seed=5, processes=1, report=quiet)
    for name in ('train/000002.jpg', 'val/000001.jpg', 'panoptic_val/000001.png'):
        assert (tmp_path / 'small' / name).read_bytes() == (world / name).read_bytes()


def test_second_run_does_nothing(world: Path) -> None:
    before, lines = {path: path.stat().st_mtime_ns for path in world.rglob('*')}, []
    assert not write_shapes(world, COUNTS, seed=5, report=lines.append)
    assert before == {path: path.stat().st_mtime_ns for path in world.rglob('*')}
    assert len(lines) == 1 and 'complete' in lines[0]


@pytest.mark.parametrize('change', [dict(seed=6), dict(counts=dict(COUNTS, train=7))])
def test_other_data_is_never_overwritten(world: Path, change: dict) -> None:
    with pytest.raises(FileExistsError, match=r"found \{'version': 1, 'seed': 5.*expected.*--out"):
        write_shapes(world, **{**dict(counts=COUNTS, seed=5), **change})


def test_foreign_folder_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / 'mine.txt').write_text('keep')
    with pytest.raises(FileExistsError, match='no Shapes data set'):
        write_shapes(tmp_path, COUNTS)
    assert (tmp_path / 'mine.txt').read_text() == 'keep'


def test_interrupted_run_leaves_no_data_set_and_starts_anew(
        world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / 'world'

    def interrupt(line: str) -> None:
        if line.startswith('val'):
            raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt):
        write_shapes(out, COUNTS, seed=5, processes=1, report=interrupt)
    assert not out.exists() and (tmp_path / 'world.partial/train/000001.jpg').exists()
    lines = []
    write_shapes(out, COUNTS, seed=5, processes=1, report=lines.append)
    assert 'interrupted' in lines[0] and not (tmp_path / 'world.partial').exists()
    assert files(out) == files(world)


@pytest.mark.parametrize('change, message', [
    (dict(counts=dict(train=-5, val=1, dev=0)), r'train: found -5, expected at least 0 .*--train'),
    (dict(processes=0), r'processes: found 0, expected at least 1 .*--processes'),
    (dict(seed=-1), r'seed: found -1, expected at least 0 .*--seed')])
def test_numbers_out_of_range_are_refused(tmp_path: Path, change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        write_shapes(tmp_path / 'world', **{**dict(counts=COUNTS, seed=5), **change}, report=quiet)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        if path.name == '000002.png':
            raise OSError(errno.ENOSPC, 'No space left on device')
        return write(path, data)
    monkeypatch.setattr(Path, 'write_bytes', full)
    with pytest.raises(OSError, match='world: could not be written: found "No space left on device", expected a fold'):
        write_shapes(tmp_path / 'world', dict(train=2, val=0, dev=0), processes=1, report=quiet)
    assert not list(tmp_path.iterdir())


def test_default_splits_keep_a_tuning_split_apart() -> None:
    assert list(shapes_world.SHAPES_WORLD.splits) == list(shapes_world.SPLITS) == ['train', 'val', 'dev']
