import io
import json
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from rsc_mm.datasets import BadImageError, EpochSampler, RegionDataset, shards
from rsc_mm.datasets.shards import load_shards

from .toy import random_image

GRID = {'type': 'GridRegions'}


def jpeg(seed: int, height: int = 30, width: int = 40) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(random_image(height, width, seed)).save(buffer, 'jpeg')
    return buffer.getvalue()


def write_shards(root: Path, counts: tuple[int, ...] = (3, 0, 2), long_names: bool = False) -> list[str]:
    """Shards as img2dataset writes them, with the same images as files beside; the names of the images."""
    root.mkdir(parents=True, exist_ok=True)
    names = []
    for shard, count in enumerate(counts):
        with tarfile.open(root / f'{shard:05d}.tar', 'w') as tar:
            for i in range(count):
                stem = f'{shard:05d}{i:04d}' + 'x' * 120 * long_names
                content = {'jpg': jpeg(10 * shard + i), 'txt': b'a caption', 'json': json.dumps({'key': i}).encode()}
                for ending, data in content.items():
                    member = tarfile.TarInfo(f'{stem}.{ending}')
                    member.size = len(data)
                    tar.addfile(member, io.BytesIO(data))
                names.append(f'{shard:05d}.tar/{stem}.jpg')
                files = root.parent / 'files' / f'{shard:05d}.tar'
                files.mkdir(parents=True, exist_ok=True)
                (files / f'{stem}.jpg').write_bytes(content['jpg'])
    return names


@pytest.mark.parametrize('long_names', [False, True])  # beyond 100 characters tar has another kind of header
def test_shards_give_the_images_and_regions_of_the_same_files(tmp_path: Path, long_names: bool) -> None:
    names = write_shards(tmp_path / 'shards', long_names=long_names)
    packed = RegionDataset(GRID, data_root=str(tmp_path / 'shards'))
    files = RegionDataset(GRID, data_root=str(tmp_path / 'files'))
    assert len(packed) == len(files) == 5
    np.testing.assert_array_equal(packed.aspect_ratios(), files.aspect_ratios())
    for i, name in enumerate(names):
        first, second = packed[i, 2, 7], files[i, 2, 7]
        assert first['data_samples'].img_id == first['data_samples'].img_path == str(tmp_path / 'shards' / name)
        assert torch.equal(first['inputs'], second['inputs'])
        assert torch.equal(first['data_samples'].boxes, second['data_samples'].boxes)


def test_members_are_read_once_and_again_when_a_shard_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scanned, scan = [], shards._scan
    monkeypatch.setattr(shards, '_scan', lambda path: scanned.append(path.name) or scan(path))
    write_shards(tmp_path / 'shards')
    tables = [load_shards(str(tmp_path / 'shards')) for _ in range(2)]
    assert scanned == ['00000.tar', '00001.tar', '00002.tar']
    assert list(tables[0].img_paths) == list(tables[1].img_paths)
    write_shards(tmp_path / 'shards', (1, 1, 1))
    assert len(load_shards(str(tmp_path / 'shards'), str(tmp_path / 'elsewhere'))) == 3
    assert len(load_shards(str(tmp_path / 'shards'))) == 3 and len(scanned) == 9
    (tmp_path / 'shards' / '.packed' / 'shards.safetensors').write_bytes(b'damaged')
    assert len(load_shards(str(tmp_path / 'shards'))) == 3 and len(scanned) == 12


def test_bad_records_are_named_and_counted(tmp_path: Path) -> None:
    write_shards(tmp_path / 'shards')
    path = tmp_path / 'shards' / '00002.tar'
    with tarfile.open(path) as tar:
        place = tar.getmember('000020001.jpg').offset_data
    content = bytearray(path.read_bytes())
    content[place:place + 40] = bytes(40)
    path.write_bytes(content)
    dataset = RegionDataset(GRID, data_root=str(tmp_path / 'shards'), max_bad_images=1)
    assert [dataset[i] is None for i in range(5)] == [False] * 4 + [True]
    with pytest.raises(BadImageError, match=r'found 1 bad images, expected at most 0(.|\n)*00002\.tar/000020001\.jpg'):
        RegionDataset(GRID, data_root=str(tmp_path / 'shards'))[4]


def test_a_shard_that_ends_too_early_is_named(tmp_path: Path) -> None:
    write_shards(tmp_path / 'shards')
    path = tmp_path / 'shards' / '00000.tar'
    with tarfile.open(path) as tar:
        place = tar.getmember('000000002.jpg').offset_data
    path.write_bytes(path.read_bytes()[:place + 100])
    table = load_shards(str(tmp_path / 'shards'))
    assert len(table) == 4
    assert '1 of 3 shards end too early: 00000.tar (unexpected end of data; 2 images before that)' in table.left_out
    assert load_shards(str(tmp_path / 'shards')).left_out == table.left_out
    (tmp_path / 'shards' / '00002.tar').unlink()
    assert 'No such file' in _error(table, 3)


def _error(table: object, index: int) -> str:
    with pytest.raises(BadImageError) as error:
        table.read_image(index)
    return str(error.value)


def test_shards_without_images_and_beside_other_roots(tmp_path: Path) -> None:
    write_shards(tmp_path / 'empty', (0, ))
    with pytest.raises(ValueError, match='empty: found 1 tar files without an image, expected members'):
        load_shards(str(tmp_path / 'empty'))
    write_shards(tmp_path / 'shards')
    with pytest.raises(ValueError, match='data_root: found 2 roots of which one has shards'):
        RegionDataset(GRID, data_root=[str(tmp_path / 'shards'), str(tmp_path / 'files')])


def test_processes_share_the_shards_by_the_sampler_and_workers_by_pickling(tmp_path: Path) -> None:
    write_shards(tmp_path / 'shards', (4, 4))
    dataset = RegionDataset(GRID, data_root=str(tmp_path / 'shards'))
    parts = []
    for rank in range(2):
        sampler = EpochSampler(dataset, seed=0)
        sampler.rank, sampler.world_size = rank, 2
        parts += [draw.index for draw in sampler]
    assert sorted(parts) == list(range(8))
    table = pickle.loads(pickle.dumps(dataset.table))
    assert torch.equal(table.read_image(3), dataset.table.read_image(3))
