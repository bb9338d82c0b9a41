"""Annotation files parsed once and kept as packed arrays that every process maps."""
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import platformdirs
import torch
from filelock import FileLock, Timeout
from mmengine.logging import print_log
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from rsc_mm.utils.files import replacing

from .annotations import parse_coco
from .region_table import Decimals, RegionTable, pack_decimals

FORMAT = 2
PACK_FROM = 16 << 20  # bytes of json; a smaller file is parsed in less time than its copy is worth


def load_packed(path: str, needs: tuple[str, ...], cache_dir: str | None = None) -> RegionTable:
    """`parse_coco`, from the packed file if there is one, and writing it if not.

    The packed file belongs to the json's content (SHA-256; equal size and time of change are taken for equal content)
    and to ``needs``. It is one safetensors file: pages are read when needed and shared by all processes of a machine.
    One process parses while others wait for its lock; a killed one leaves the lock free. A file that
    cannot be written (full disk) costs the next start its speed and nothing else; so does a damaged one.

    Args:
        path: json file.
        needs: keys to read of every annotation.
        cache_dir: folder of the packed files; default: ``.packed`` beside the json, or where that cannot be written the
            user's cache folder.

    Raises:
        FileNotFoundError, ValueError: see `parse_coco`.
        OSError: ``cache_dir`` cannot be written.
    """
    if not Path(path).is_file() or os.path.getsize(path) < PACK_FROM:
        return parse_coco(path, needs)
    folder = cache_folder(path, cache_dir)
    packed = folder / f'{Path(path).stem}-{"-".join(needs) or "images"}.safetensors'
    with one_at_a_time(packed):
        table = _read(packed, path)
        if table is None:
            parsed = parse_coco(path, needs)
            table = (_read(packed, path) if _write(packed, parsed, path) else None) or parsed
    return table


def cache_folder(path: str, cache_dir: str | None) -> Path:
    """The folder of a file's packed copy, made and writable.

    Args:
        path: the file.
        cache_dir: the folder; default: ``.packed`` beside the file, or the user's cache.

    Raises:
        OSError: no such folder can be written.
    """
    if cache_dir is not None:
        return _writable(Path(cache_dir))
    try:
        return _writable(Path(path).parent / '.packed')
    except OSError:
        key = hashlib.sha256(str(Path(path).resolve().parent).encode()).hexdigest()[:16]
        return _writable(Path(platformdirs.user_cache_dir('rsc_mm'), 'packed', key))


def _writable(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(f'{folder}: found a folder that cannot be written, expected a writable one for packed '
                              'annotations; see the field cache_dir of RegionDataset')
    return folder


@contextmanager
def one_at_a_time(packed: Path) -> Iterator[None]:
    """A lock that one process of all machines holds; the operating system frees it when the holder dies.

    Args:
        packed: the file that the holder may write.
    """
    lock = FileLock(f'{packed}.lock')
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print_log(f'another process packs {packed.name}; waiting for it', 'current')
        lock.acquire()
    except (NotImplementedError, OSError) as error:  # a file system without locks, a full disk: work is done twice
        print_log(f'{packed}: no lock ({error}); processes may parse the annotations at the same time', 'current')
    try:
        yield
    finally:
        lock.release()


def _stamp(path: str) -> dict[str, str]:
    status = os.stat(path)
    return {'size': str(status.st_size), 'mtime_ns': str(status.st_mtime_ns)}


def _sha256(path: str) -> str:
    digest = hashlib.sha256()
    with open(path, 'rb') as file:  # hashlib.file_digest needs Python 3.11
        for block in iter(lambda: file.read(1 << 20), b''):
            digest.update(block)
    return digest.hexdigest()


def _read(packed: Path, path: str) -> RegionTable | None:
    """The mapped table, or None where there is none for the json's present content."""
    if not packed.is_file():
        return None
    try:
        with safe_open(packed, 'pt') as file:
            meta = file.metadata() or {}
            known = meta.get('format') == str(FORMAT) and (
                _stamp(path).items() <= meta.items() or meta['sha256'] == _sha256(path))
            # torch's tensors stay mapped; safetensors copies those of NumPy
            return _table({key: file.get_tensor(key) for key in file.keys()}, meta) if known else None  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        print_log(f'{packed}: found a damaged file ({error}), expected packed annotations; packing {path} anew',
                  'current', level=30)
        return None


def _table(tensors: dict[str, torch.Tensor], meta: dict[str, str]) -> RegionTable:
    arrays = {key: tensor.numpy() for key, tensor in tensors.items()}
    text = json.loads(arrays['text'].tobytes())
    boxes, scale = arrays['boxes'], int(meta['box_scale'])
    zeros = np.broadcast_to(np.int64(0), len(boxes))
    return RegionTable(text['ids'], text['names'], text['segmentations'] or [None] * len(text['ids']),
                       arrays['shapes'], arrays['first'], Decimals(boxes, scale) if scale else boxes,
                       arrays.get('labels', zeros), arrays.get('segment_ids', np.zeros(0, np.int64)),
                       tuple(text['classes']), arrays['is_thing'], text['left_out'])


def _write(packed: Path, table: RegionTable, path: str) -> bool:
    """Writes the packed file; False where that failed, with the reason in the log."""
    boxes = pack_decimals(table.boxes)
    segmentations = table.segmentation_paths if len(table.segment_ids) else None
    text = {'ids': table.img_ids, 'names': table.img_paths, 'segmentations': segmentations, 'classes': table.classes,
            'left_out': table.left_out}
    arrays = {'boxes': boxes.whole if isinstance(boxes, Decimals) else boxes, 'shapes': table.shapes,
              'first': table.first, 'is_thing': table.is_thing, 'segment_ids': table.segment_ids,
              'text': np.frombuffer(json.dumps(text).encode(), np.uint8)}
    if table.classes:
        arrays['labels'] = table.labels
    scale = boxes.scale if isinstance(boxes, Decimals) else 0
    meta = {**_stamp(path), 'sha256': _sha256(path), 'format': str(FORMAT), 'box_scale': str(scale)}
    try:
        with replacing(packed) as beside:
            save_file({key: np.ascontiguousarray(array) for key, array in arrays.items()}, beside, meta)
    except OSError as error:
        print_log(f'{error}; until then every start parses {path}', 'current', level=30)
        return False
    print_log(f'packed {len(table)} images and {len(table.boxes)} regions of {path} in {packed}', 'current')
    return True
