import multiprocessing
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from rsc_mm.models.targets import TargetStore

IDENTITY = {'teacher': 'a', 'refiner': 'none'}


def rows(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 2**63, count).astype(np.uint64), rng.normal(size=(count, 5)).astype(np.float16)


def reopened(folder: Path) -> TargetStore:
    store = TargetStore(folder, 5, IDENTITY)
    store.refresh()
    return store


def known(folder: Path, keys: np.ndarray, values: np.ndarray) -> list[bool]:
    """Which of the rows the folder holds; those that it holds are right."""
    lookup = reopened(folder).look_up(keys)
    np.testing.assert_array_equal(lookup.rows[lookup.known], values[lookup.known])
    assert not lookup.rows[~lookup.known].any()
    return lookup.known.tolist()


def test_what_was_written_is_found_and_nothing_else(tmp_path: Path) -> None:
    store, (keys, values) = TargetStore(tmp_path / 's', 5, IDENTITY), rows(7)
    assert not store.look_up(keys).known.any() and not (tmp_path / 's').exists()
    store.add(keys[:3], values[:3])
    store.add(keys[3:3], values[3:3])
    store.add(keys[3:5], values[3:5])
    assert not store.look_up(keys).known.any(), 'visible before refresh'
    assert known(tmp_path / 's', keys, values) == [True] * 5 + [False] * 2
    store.refresh()
    assert store.look_up(keys).known.sum() == len(store) == 5
    assert store.look_up(keys[:0]).rows.shape == (0, 5)


def test_a_killed_writer_leaves_whole_batches(tmp_path: Path) -> None:
    keys, values = rows(6)
    for cut, kind, expected in ((1, 'keys', 3), (16 * 3, 'keys', 3), (1, 'rows', 3), (0, 'rows', 6)):
        folder = tmp_path / f'{cut}{kind}'
        store = TargetStore(folder, 5, IDENTITY)
        store.add(keys[:3], values[:3])
        store.add(keys[3:], values[3:])
        file = next(folder.glob(f'*.{kind}'))
        file.write_bytes(file.read_bytes()[:file.stat().st_size - cut])
        assert known(folder, keys, values) == [True] * expected + [False] * (6 - expected)


def test_a_damaged_row_is_not_known(tmp_path: Path) -> None:
    keys, values = rows(3)
    TargetStore(tmp_path, 5, IDENTITY).add(keys, values)
    file = next(tmp_path.glob('*.rows'))
    content = bytearray(file.read_bytes())
    content[12] ^= 1
    file.write_bytes(content)
    assert known(tmp_path, keys, values) == [True, False, True]


@pytest.mark.skipif(not Path('/dev/full').exists(), reason='stands for a full disk')
def test_a_full_disk_loses_nothing_and_stops_writing(tmp_path: Path) -> None:
    store, (keys, values) = TargetStore(tmp_path, 5, IDENTITY), rows(6)
    store.add(keys[:2], values[:2])
    full = TargetStore(tmp_path, 5, IDENTITY)
    full._segment = str(tmp_path / 'full')
    (tmp_path / 'full.rows').symlink_to('/dev/full')
    full.add(keys[2:4], values[2:4])
    assert full.full and not (tmp_path / 'full.keys').exists()
    (tmp_path / 'full.rows').unlink()
    full.add(keys[4:], values[4:])
    assert known(tmp_path, keys, values) == [True] * 2 + [False] * 4


@pytest.mark.parametrize('field, other', [('teacher', {**IDENTITY, 'teacher': 'b'}),
                                          ('refiner', {**IDENTITY, 'refiner': '12ab'}),
                                          ('numbers of a region', IDENTITY)])
def test_rows_of_another_run_are_refused_by_field(tmp_path: Path, field: str, other: dict) -> None:
    TargetStore(tmp_path, 5, IDENTITY).add(*rows(1))
    with pytest.raises(ValueError, match=rf"identity\.json: field '{field}': found .* expected this run's"):
        TargetStore(tmp_path, 6 if other is IDENTITY else 5, other)


def _write(folder: Path, seed: int, dies: bool) -> None:
    store, (keys, values) = TargetStore(folder, 5, IDENTITY), rows(200, seed)
    for i in range(0, 200, 4):
        store.add(keys[i:i + 4], values[i:i + 4])
        if dies and i == 100:
            os.kill(os.getpid(), signal.SIGKILL)


def test_several_processes_write_at_the_same_time(tmp_path: Path) -> None:
    context = multiprocessing.get_context('fork')
    processes = [context.Process(target=_write, args=(tmp_path, seed, seed == 2)) for seed in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [known(tmp_path, *rows(200, seed)).count(True) for seed in range(3)] == [200, 200, 104]
    assert len(reopened(tmp_path)) == 504
