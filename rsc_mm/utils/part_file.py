"""Results of a long run that may be interrupted."""
import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from .files import replacing


class PartFile:
    """Finished entries of an unfinished run, a line of json for each; the first line says which run it was.

    Args:
        path: the file.
        key: what the entries depend on.

    Raises:
        ValueError: the file was begun with other settings.
    """

    def __init__(self, path: Path, key: str) -> None:
        self.path = path
        header, content = json.dumps({'key': key}).encode() + b'\n', path.read_bytes() if path.is_file() else b''
        # What follows the last line's end is left of a run that was killed, or met a full disk, while it wrote.
        whole = content[:content.rfind(b'\n') + 1]
        if whole and not whole.startswith(header):
            raise ValueError(f'{path}: found an unfinished run with other inputs, weights or options; delete it to '
                             'begin anew, or repeat the command that began it')
        if not whole or whole != content:
            with replacing(path) as beside:
                beside.write_bytes(whole or header)

    def entries(self) -> list[dict]:
        """All entries so far."""
        return [json.loads(line) for line in self.path.read_text().splitlines()[1:]]

    def unfinished(self, ids: list) -> list[int]:
        """Positions of the ids that the file does not hold yet; says how many it holds.

        Args:
            ids: of all images.
        """
        finished = {entry['id'] for entry in self.entries()}
        if finished:
            print(f'going on after {len(finished)} finished images', flush=True)
        return [i for i, img_id in enumerate(ids) if img_id not in finished]

    def add(self, entries: list[dict]) -> None:
        """Appends entries.

        Args:
            entries: values of json with the key ``id``.
        """
        with self.path.open('a') as file:
            file.write(''.join(json.dumps(entry) + '\n' for entry in entries))

def add_batches(part: PartFile, batches: Iterable[Any], total: int, entries_of: Callable[[Any], list[dict]]) -> None:
    """Adds the entries of every batch; prints progress and the time left.

    Args:
        part: where entries go.
        batches: of images that the file does not hold yet.
        total: number of images in all batches.
        entries_of: the entries of a batch, one for each image.
    """
    start = printed = time.monotonic()
    done = 0
    for batch in batches:
        entries = entries_of(batch)
        part.add(entries)
        done, now = done + len(entries), time.monotonic()
        if now - printed > 10 or done == total:
            printed, left = now, (now - start) / done * (total - done)
            print(f'{done} of {total} images, {done / (now - start):.1f} per s, {left / 60:.1f} min left', flush=True)
