import errno
import json
import multiprocessing
import os
import signal
import time
from pathlib import Path

import numpy as np
import platformdirs
import pytest

from rsc_mm.datasets import RegionDataset, packed_annotations
from rsc_mm.datasets.annotations import parse_coco
from rsc_mm.datasets.packed_annotations import load_packed
from rsc_mm.datasets.region_table import Decimals, RegionTable, pack_decimals

from .toy import coco, coco_root, panoptic_root, write_json

BOX_AND_LABEL = ('bbox', 'category_id')
SEGMENTS = ('segments_info', 'bbox', 'category_id')


@pytest.fixture(autouse=True)
def pack_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed_annotations, 'PACK_FROM', 0)


@pytest.fixture
def no_parsing(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """From here on parsing is an error, until the fixture is undone."""
    def refuse(path: str, needs: tuple[str, ...]) -> None:
        raise AssertionError(f'{path} was parsed')

    def forbid() -> None:
        monkeypatch.setattr(packed_annotations, 'parse_coco', refuse)
    return forbid


def annotation_file(folder: Path, shift: float = 0.25) -> str:
    content = coco(5)
    content['annotations'].reverse()
    content['annotations'][3]['bbox'][0] += shift
    return write_json(folder / 'a.json', content)


def assert_equal(first: RegionTable, second: RegionTable) -> None:
    assert (first.img_ids, first.img_paths, first.classes) == (second.img_ids, second.img_paths, second.classes)
    for i in range(len(first)):
        one, other = first.record(i), second.record(i)
        assert (one.shape, one.segmentation_path) == (other.shape, other.segmentation_path)
        for field in ('boxes', 'labels', 'is_thing', 'segment_ids'):
            np.testing.assert_array_equal(getattr(one, field), getattr(other, field))
            assert getattr(one, field).dtype == getattr(other, field).dtype


def test_what_was_left_out_is_said_at_every_start(tmp_path: Path, no_parsing) -> None:
    content = coco(3)
    content['annotations'][0]['bbox'][2] = 0
    path = write_json(tmp_path / 'a.json', content)
    first = load_packed(path, BOX_AND_LABEL)
    no_parsing()
    second = load_packed(path, BOX_AND_LABEL)
    assert 'left out 1 of 3 boxes' in first.left_out and second.left_out == first.left_out
    assert_equal(first, second)


@pytest.mark.parametrize('needs', [(), ('bbox', ), BOX_AND_LABEL])
def test_packed_file_gives_what_the_json_gives_without_parsing(tmp_path: Path, needs: tuple, no_parsing) -> None:
    path = annotation_file(tmp_path)
    expected = parse_coco(path, needs)
    assert_equal(load_packed(path, needs), expected)
    no_parsing()
    assert_equal(load_packed(path, needs), expected)
    assert sorted(p.suffix for p in (tmp_path / '.packed').iterdir()) == ['.lock', '.safetensors']


def test_panoptic_segments_are_packed(tmp_path: Path, no_parsing) -> None:
    path = str(panoptic_root(tmp_path) / 'panoptic.json')
    load_packed(path, SEGMENTS)
    expected = parse_coco(path, SEGMENTS)
    no_parsing()
    assert_equal(load_packed(path, SEGMENTS), expected)


def test_boxes_of_few_decimals_take_half_the_space_and_keep_their_bits(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 10**6, (1000, 4))
    for digits in range(4):
        boxes = values / 10**digits
        packed = pack_decimals(boxes, rows=300)
        assert isinstance(packed, Decimals) and packed.whole.dtype == np.int32
        np.testing.assert_array_equal(packed[10:20], boxes[10:20])
        np.testing.assert_array_equal(np.asarray(packed), boxes)
    for odd in (1 / 3, 3e6):  # more decimals; in thousandths beyond int32
        boxes[500, 2] = odd + 0.001
        assert pack_decimals(boxes, rows=300) is boxes


def test_decimals_that_cannot_be_packed_are_kept_as_they_are(tmp_path: Path, no_parsing) -> None:
    path = annotation_file(tmp_path, shift=1 / 3)
    expected = load_packed(path, BOX_AND_LABEL)
    no_parsing()
    assert_equal(load_packed(path, BOX_AND_LABEL), expected)


def test_other_content_is_parsed_anew_and_other_time_is_not(tmp_path: Path, no_parsing) -> None:
    path = annotation_file(tmp_path)
    load_packed(path, BOX_AND_LABEL)
    annotation_file(tmp_path, shift=0.75)
    expected = parse_coco(path, BOX_AND_LABEL)
    assert_equal(load_packed(path, BOX_AND_LABEL), expected)
    os.utime(path, (1, 1))
    no_parsing()
    assert_equal(load_packed(path, BOX_AND_LABEL), expected)


def test_full_disk_costs_nothing_but_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(arrays: dict, file: Path, meta: dict) -> None:
        Path(file).write_bytes(b'half')
        raise OSError(errno.ENOSPC, 'No space left on device')

    path = annotation_file(tmp_path)
    expected = parse_coco(path, BOX_AND_LABEL)
    with monkeypatch.context() as patch:
        patch.setattr(packed_annotations, 'save_file', full)
        assert_equal(load_packed(path, BOX_AND_LABEL), expected)
    assert [p.suffix for p in (tmp_path / '.packed').iterdir()] == ['.lock']
    assert_equal(load_packed(path, BOX_AND_LABEL), expected)


@pytest.mark.parametrize('content', [b'', b'half a file', None])
def test_damaged_file_is_made_anew(tmp_path: Path, content: bytes | None) -> None:
    path = annotation_file(tmp_path)
    expected = parse_coco(path, BOX_AND_LABEL)
    load_packed(path, BOX_AND_LABEL)
    packed = tmp_path / '.packed' / 'a-bbox-category_id.safetensors'
    packed.write_bytes(packed.read_bytes()[:-8] if content is None else content)
    assert_equal(load_packed(path, BOX_AND_LABEL), expected)
    assert_equal(load_packed(path, BOX_AND_LABEL), expected)


def test_where_the_packed_file_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = annotation_file(tmp_path / 'data')
    load_packed(path, (), str(tmp_path / 'chosen'))
    assert (tmp_path / 'chosen' / 'a-images.safetensors').is_file()
    assert not (tmp_path / 'data' / '.packed').exists()
    (tmp_path / 'data' / '.packed').write_text('')  # as good as a folder that cannot be written
    monkeypatch.setattr(platformdirs, 'user_cache_dir', lambda name: str(tmp_path / name))
    load_packed(path, ())
    assert len(list((tmp_path / 'rsc_mm' / 'packed').rglob('a-images.safetensors'))) == 1
    with pytest.raises(OSError, match='packed'):
        load_packed(path, (), str(tmp_path / 'data' / '.packed'))


def test_bad_annotation_is_named_as_ever(tmp_path: Path) -> None:
    content = coco(3)
    content['annotations'][2]['bbox'] = [1, 2, -3, 4]
    with pytest.raises(ValueError, match=r'bad\.json: annotations\[2\]\.bbox: found \[1, 2, -3, 4\]'):
        load_packed(write_json(tmp_path / 'bad.json', content), ('bbox', ))
    assert not list(tmp_path.rglob('*.safetensors'))


def test_dataset_reads_packed_annotations(tmp_path: Path, no_parsing) -> None:
    coco_root(tmp_path)
    fields = dict(regions=dict(type='ProposalRegions'), ann_file='ann.json', data_root=str(tmp_path),
                  img_prefix='images', cache_dir=str(tmp_path / 'cache'))
    first = RegionDataset(**fields)[2]['data_samples']
    no_parsing()
    second = RegionDataset(**fields)[2]['data_samples']
    assert first.boxes.equal(second.boxes) and first.img_path == second.img_path == str(tmp_path / 'images' / '2.jpg')


def _load_and_count(path: str, log: Path, dies: bool) -> None:
    def parse(path: str, needs: tuple[str, ...]) -> RegionTable:
        with log.open('a') as file:
            file.write('parsed\n')
        time.sleep(0.2)
        if dies:
            os.kill(os.getpid(), signal.SIGKILL)
        return parse_coco(path, needs)

    packed_annotations.parse_coco = parse
    table = load_packed(path, BOX_AND_LABEL)
    log.with_name(f'{os.getpid()}.json').write_text(json.dumps(np.asarray(table.boxes).tolist()))


def test_one_process_parses_and_a_killed_one_blocks_nobody(tmp_path: Path) -> None:
    path, log = annotation_file(tmp_path), tmp_path / 'log'
    context = multiprocessing.get_context('fork')
    killed = context.Process(target=_load_and_count, args=(path, log, True))
    killed.start()
    while not log.exists():
        time.sleep(0.01)
    others = [context.Process(target=_load_and_count, args=(path, log, False)) for _ in range(3)]
    for process in others:
        process.start()
    for process in (killed, *others):
        process.join()
    assert killed.exitcode == -signal.SIGKILL and [p.exitcode for p in others] == [0, 0, 0]
    assert log.read_text() == 'parsed\n' * 2
    boxes = np.asarray(parse_coco(path, BOX_AND_LABEL).boxes).tolist()
    assert all(json.loads((tmp_path / f'{p.pid}.json').read_text()) == boxes for p in others)
