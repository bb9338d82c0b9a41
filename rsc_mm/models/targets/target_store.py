"""Rows of half-precision numbers on disk, found by key, that many processes write and map at the same time."""
import json
import os
import socket
import time
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mmengine.logging import print_log

from rsc_mm.utils.files import replacing

# `left`: how many rows of the same batch follow. A batch counts when its last row (0) is there.
ENTRY = np.dtype([('key', '<u8'), ('checksum', '<u4'), ('left', '<u4')])


@dataclass
class Lookup:
    """What the store knows of some regions.

    Attributes:
        keys: (K,) uint64.
        known: (K,) bool.
        rows: (K, W) float16; 0 where not known.
    """

    keys: np.ndarray
    known: np.ndarray
    rows: np.ndarray


class TargetStore:
    """A folder of segments, each appended to by one process: ``NAME.rows`` holds float16 rows, ``NAME.keys`` the keys.

    A key is written after its row, so what a killed process leaves ends with rows that no key names. A row whose
    checksum differs (a power cut) counts as not known. Nothing is ever changed or deleted, so no process waits for
    another. What others have written since is seen after `refresh`.

    Args:
        folder: of the segments; made when something is written.
        width: W, numbers of a row.
        identity: what the rows depend on, by field; kept in ``identity.json``.

    Attributes:
        full: whether writing failed once; from then on nothing is written by this process.

    Raises:
        ValueError: the folder's rows depend on something else; the message names the field.
    """

    def __init__(self, folder: Path, width: int, identity: dict[str, str]) -> None:
        self.folder = folder
        self.width = width
        self.identity = {**identity, 'numbers of a region': str(width)}
        self.full = False
        self._segment: str | None = None  # that this process writes, without its ending
        self._segments: list[tuple[np.memmap, np.ndarray]] = []  # rows and their checksums
        self._places = np.zeros((0, 2), np.int64)
        self._keys = np.zeros(0, np.uint64)
        self._check_identity()

    def __len__(self) -> int:
        return len(self._keys)

    def refresh(self) -> None:
        """See what has been written since, by whomever."""
        keys, places, self._segments = [], [], []
        for path in sorted(self.folder.glob('*.keys')):
            entries = self._complete(path)
            if len(entries):
                places.append(np.stack([np.full(len(entries), len(self._segments)), np.arange(len(entries))], axis=1))
                keys.append(entries['key'])
                rows = np.memmap(path.with_suffix('.rows'), np.float16, 'r', shape=(len(entries), self.width))
                self._segments.append((rows, entries['checksum'].copy()))
        if keys:
            self._keys, first = np.unique(np.concatenate(keys), return_index=True)
            self._places = np.concatenate(places)[first]

    def look_up(self, keys: np.ndarray) -> Lookup:
        """The rows of some keys.

        Args:
            keys: (K,) uint64.
        """
        known, rows = np.zeros(len(keys), bool), np.zeros((len(keys), self.width), np.float16)
        if len(self._keys):
            found = np.searchsorted(self._keys, keys).clip(max=len(self._keys) - 1)
            for i in np.flatnonzero(self._keys[found] == keys):
                segment, row = self._places[found[i]]
                values, checksum = (part[row] for part in self._segments[segment])
                if zlib.crc32(values.tobytes()) == checksum:
                    known[i], rows[i] = True, values
        return Lookup(keys, known, rows)

    def add(self, keys: np.ndarray, rows: np.ndarray) -> None:
        """Write the rows of a batch; where that fails (a full disk) say so once and write no more.

        Args:
            keys: (K,) uint64.
            rows: (K, W) float16.
        """
        if self.full or not len(keys):
            return
        entries = np.zeros(len(keys), ENTRY)
        entries['key'], entries['left'] = keys, np.arange(len(keys))[::-1]
        entries['checksum'] = [zlib.crc32(row.tobytes()) for row in rows]
        try:
            if self._segment is None:
                self._segment = self._begin_segment()
            for kind, content in (('rows', rows), ('keys', entries)):
                # Unbuffered and closed: it is in the file whatever happens to this process, and for other machines.
                with open(f'{self._segment}.{kind}', 'ab', buffering=0) as file:
                    if file.write(content.tobytes()) != content.nbytes:
                        raise OSError(f'{file.name}: found room for a part only')
        except OSError as error:
            self.full = True
            print_log(f'{self.folder}: could not write targets ({error}); what was written stays of use, the rest is '
                      'computed as without a cache. Make room and resume to write on', 'current', level=30)

    def _begin_segment(self) -> str:
        self.folder.mkdir(parents=True, exist_ok=True)
        with replacing(self.folder / 'identity.json') as beside:
            beside.write_text(json.dumps(self.identity, indent=1))
        return str(self.folder / f'{time.time_ns()}-{socket.gethostname()}-{os.getpid()}')

    def _complete(self, path: Path) -> np.ndarray:
        """The entries of a segment whose batch and rows are there as a whole."""
        entries = np.fromfile(path, ENTRY, count=path.stat().st_size // ENTRY.itemsize)
        rows = path.with_suffix('.rows')
        there = rows.stat().st_size // (2 * self.width) if rows.exists() else 0
        ends = np.flatnonzero(entries['left'][:there] == 0)
        return entries[:ends[-1] + 1] if len(ends) else entries[:0]

    def _check_identity(self) -> None:
        path = self.folder / 'identity.json'
        if not path.is_file():
            return
        found = json.loads(path.read_text())
        for field, expected in self.identity.items():
            if found.get(field) != expected:
                raise ValueError(f"CachedTargets: {path}: field '{field}': found {found.get(field)!r}, expected this "
                                 f"run's {expected!r}; the cached targets are of another run: give another path, or "
                                 'delete the folder')
