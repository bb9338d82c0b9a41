"""Images in tar shards as img2dataset writes them (WebDataset): CC3M, CC12M."""
import hashlib
import os
import tarfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import print_log
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from rsc_mm.utils.files import replacing

from .annotations import IMAGE_SUFFIXES
from .image_io import BadImageError, decode_image, image_shape
from .packed_annotations import cache_folder, one_at_a_time
from .structures import ImageRecord

FORMAT = 'shards 1'


class PackedStrings(Sequence):
    """Strings in one array of bytes: millions of names cost megabytes.

    Args:
        content: all strings one after the other, uint8.
        first: (n + 1,) offsets.
    """

    def __init__(self, content: np.ndarray, first: np.ndarray) -> None:
        self.content = content
        self.first = first

    def __len__(self) -> int:
        return len(self.first) - 1

    def __getitem__(self, index: Any) -> Any:
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self.content[self.first[index]:self.first[index + 1]].tobytes().decode()


class ShardTable:
    """The images of all shards of a folder, in the order of shards and members; what `RegionTable` is for files.

    Args:
        root: folder of the shards.
        shards: names of the S shards.
        members: (n, 3) int64 shard, place of the content in it, size in bytes.
        names: of the n members.
        left_out: what of the shards is not in the table, in words; empty: nothing.
    """

    classes: tuple[str, ...] = ()
    is_thing = np.zeros(0, bool)

    def __init__(self, root: str, shards: list[str], members: np.ndarray, names: 'PackedStrings',
                 left_out: str) -> None:
        self.root, self.shards, self.members, self.names, self.left_out = root, shards, members, names, left_out
        self.shapes = np.broadcast_to(np.int64(-1), (len(members), 2))
        self.img_ids = self.img_paths = _Paths(self)

    def __len__(self) -> int:
        return len(self.members)

    def record(self, index: int) -> ImageRecord:
        """Image ``index``, without annotation."""
        nothing = np.zeros(0, np.int64)
        name = self.img_ids[index]
        return ImageRecord(name, name, (-1, -1), np.zeros((0, 4)), nothing, np.zeros(0, bool), nothing, None)

    def read_image(self, index: int) -> torch.Tensor:
        """The pixels, see `read_image`.

        Args:
            index: of the image.

        Raises:
            BadImageError: the shard or the image in it cannot be read; the message names both.
        """
        return decode_image(np.frombuffer(self._content(index), np.uint8), self.img_paths[index])

    def image_shape(self, index: int) -> tuple[int, int]:
        """Height and width from the image's header, see `image_shape`.

        Args:
            index: of the image.
        """
        try:
            return image_shape(BytesIO(self._content(index)))
        except BadImageError:
            return 1, 1

    def _content(self, index: int) -> bytearray:
        shard, place, size = self.members[index].tolist()
        try:
            with open(Path(self.root, self.shards[shard]), 'rb') as file:
                file.seek(place)
                return bytearray(file.read(size))
        except OSError as error:
            raise BadImageError(f'{self.img_paths[index]}: found {error.strerror or error}, expected a readable '
                                'shard') from None


class _Paths(Sequence):
    """ROOT/SHARD.tar/MEMBER of every image."""

    def __init__(self, table: ShardTable) -> None:
        self.table = table

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, index: Any) -> Any:
        return str(Path(self.table.root, self.table.shards[self.table.members[index, 0]], self.table.names[index]))


def shard_names(root: str) -> list[str]:
    """The tar files of a folder, in order.

    Args:
        root: the folder.
    """
    return sorted(path.name for path in Path(root).glob('*.tar') if path.is_file())


def load_shards(root: str, cache_dir: str | None = None) -> ShardTable:
    """The images of all tar files of a folder.

    Which members a shard has is read once (Python's ``tarfile``, about 45,000 members a second) and kept as a packed
    file, see `load_packed`; it holds as long as names, sizes and times of the shards do. A shard that ends too early
    gives the images before its end and is named in ``left_out``. Other members (captions, json) are not read.

    Args:
        root: the folder.
        cache_dir: folder of the packed file; default: beside the shards, or the user's cache.

    Raises:
        ValueError: no shard holds an image.
    """
    shards = shard_names(root)
    packed = cache_folder(str(Path(root, shards[0])), cache_dir) / 'shards.safetensors'
    stamp = _stamp(root, shards)
    with one_at_a_time(packed):
        table = _read(packed, root, shards, stamp)
        if table is None:
            table = _scan_all(root, shards)
            _write(packed, table, stamp)
    return table


def _stamp(root: str, shards: list[str]) -> str:
    states = [os.stat(Path(root, shard)) for shard in shards]
    return hashlib.sha256(repr([(s, state.st_size, state.st_mtime_ns) for s, state in zip(shards, states)]).encode()
                          ).hexdigest()


def _scan_all(root: str, shards: list[str]) -> ShardTable:
    members: list[tuple[int, int, int]] = []
    lengths: list[int] = []
    content, damaged = bytearray(), []
    for number, shard in enumerate(shards):
        found, reason = _scan(Path(root, shard))
        damaged += [f'{shard} ({reason}; {len(found)} images before that)'] if reason else []
        members += [(number, place, size) for _, place, size in found]
        encoded = [name.encode() for name, *_ in found]
        lengths += map(len, encoded)
        content += b''.join(encoded)
        if number % 100 == 99:
            print_log(f'{root}: read the members of {number + 1} of {len(shards)} shards', 'current')
    if not members:
        raise ValueError(f'{root}: found {len(shards)} tar files without an image, expected members that end in '
                         f'{", ".join(IMAGE_SUFFIXES)}')
    left_out = f'{root}: {len(damaged)} of {len(shards)} shards end too early: {", ".join(damaged)}' if damaged else ''
    names = PackedStrings(np.frombuffer(bytes(content), np.uint8), np.concatenate([[0], np.cumsum(lengths)]))
    return ShardTable(root, shards, np.array(members, np.int64), names, left_out)


def _scan(path: Path) -> tuple[list[tuple[str, int, int]], str]:
    """Name, place and size of every image in a shard, and why the shard ends too early."""
    found, end = [], path.stat().st_size
    try:
        with tarfile.open(path, 'r:') as tar:
            for member in tar:
                if member.isfile() and Path(member.name).suffix.lower() in IMAGE_SUFFIXES:
                    if member.offset_data + member.size > end:
                        raise tarfile.ReadError('unexpected end of data')
                    found.append((member.name, member.offset_data, member.size))
                tar.members = []  # type: ignore[attr-defined]  # it would keep all of them
    except (tarfile.TarError, OSError) as error:
        return found, str(error)
    return found, ''


def _read(packed: Path, root: str, shards: list[str], stamp: str) -> ShardTable | None:
    try:
        with safe_open(packed, 'pt') as file:
            meta = file.metadata() or {}
            if (meta.get('format'), meta.get('stamp')) != (FORMAT, stamp):
                return None
            members, content, first = (file.get_tensor(key).numpy() for key in ('members', 'names', 'first'))
            return ShardTable(root, shards, members, PackedStrings(content, first), meta['left_out'])
    except FileNotFoundError:
        return None
    except (SafetensorError, OSError) as error:
        print_log(f'{packed}: found a damaged file ({error}), expected packed members; reading the shards anew',
                  'current', level=30)
        return None


def _write(packed: Path, table: ShardTable, stamp: str) -> None:
    arrays = {'members': table.members, 'names': table.names.content, 'first': table.names.first}
    try:
        with replacing(packed) as beside:
            save_file(arrays, beside, {'format': FORMAT, 'stamp': stamp, 'left_out': table.left_out})
    except OSError as error:
        print_log(f'{error}; until then every start reads the members of all shards', 'current', level=30)
