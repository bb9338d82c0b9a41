"""Files that are complete or not there."""
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Write a file beside its place and move it there when it is complete.

    After an error (a full disk, an interruption) nothing is left of the new file, and what was there before stays as it
    was. Folders are made. Several processes may write the same file: each writes its own, the last to finish replaces.

    Args:
        path: the file to write.

    Yields:
        Where to write instead: in the same folder, with the same ending.

    Raises:
        OSError: the file could not be written; the message names it and the reason.
    """
    path = Path(path)
    beside = path.with_name(f'{path.stem}.{os.getpid()}.writing{path.suffix}')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.touch()
        mode = beside.stat().st_mode
        yield beside
        beside.chmod(mode)  # safetensors leaves its files readable for their owner alone
        beside.replace(path)
    except (OSError, RuntimeError, SafetensorError) as error:  # torch and safetensors report a full disk as their own
        reason = getattr(error, 'strerror', None) or str(error).splitlines()[0]
        raise OSError(getattr(error, 'errno', None) or 0, f'{path}: could not be written: found "{reason}", expected a '
                      'folder that may be written to, with room for the file; nothing was changed') from error
    finally:
        if beside.exists():
            beside.unlink()
