"""Time and memory of reading an annotation file of any size."""
import json
import multiprocessing
import random
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from rsc_mm.datasets import packed_annotations


def measure(path: Path, folder: str) -> list[dict[str, float | int | str]]:
    """Two starts, each in a process of its own: the first packs the file, the second maps it.

    Args:
        path: json file.
        folder: of the packed file, empty.
    """
    rows = []
    for start in ('first', 'second'):
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context('spawn')) as pool:
            rows.append(dict(start=start, **pool.submit(read, path, folder).result()))
    return rows


def read(path: Path, folder: str) -> dict[str, float | int]:
    """One start in this process.

    Args:
        path: json file.
        folder: of the packed file.
    """
    packed_annotations.PACK_FROM = 0
    before, start = memory(), time.perf_counter()
    table = packed_annotations.load_packed(str(path), ('bbox', ), folder)
    seconds = time.perf_counter() - start
    total = sum(table.boxes[i:i + 10000].sum() for i in range(0, len(table.boxes), 10000))
    after = memory()
    return dict(seconds=seconds, peak_mib=(after['VmHWM'] - before['VmRSS']) / 1024,
                private_mib=(after['RssAnon'] - before['RssAnon']) / 1024,
                mapped_mib=(after['RssFile'] - before['RssFile']) / 1024, regions=len(table.boxes), sum=float(total))


def memory() -> dict[str, int]:
    """Memory of this process in KiB by the kernel's names."""
    lines = [line.split() for line in Path('/proc/self/status').read_text().splitlines()]
    return {line[0].rstrip(':'): int(line[1]) for line in lines if line[-1:] == ['kB']}


def generate(path: Path, images: int, proposals: int) -> Path:
    """A json like that of tools/data/generate_proposals.py.

    Args:
        path: to write.
        images: how many.
        proposals: of each.
    """
    rng, number = random.Random(0), 0
    with path.open('w') as file:
        entries = [dict(id=3 * i, file_name=f'{3 * i:012d}.jpg', height=480, width=640) for i in range(images)]
        file.write(f'{{"images": {json.dumps(entries)}, "annotations": [')
        for i in range(images):
            for _ in range(proposals):
                box = [rng.randrange(25600) / 100 for _ in range(4)]
                row = dict(id=number, image_id=3 * i, category_id=1, bbox=box, area=round(box[2] * box[3], 4),
                           iscrowd=0, score=rng.randrange(10000) / 10000)
                file.write((', ' if number else '') + json.dumps(row))
                number += 1
        file.write('], "categories": [{"id": 1, "name": "object"}]}')
    return path
