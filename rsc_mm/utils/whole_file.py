"""Files that are there as a whole or not at all."""
import os
from collections.abc import Callable
from pathlib import Path


def write_whole(path: str | Path, write: Callable[[Path], object]) -> None:
    """Write a file beside its name, then rename it: a kill or a full disk leaves what was there before.

    Args:
        path: the file.
        write: writes to the path that it is given.

    Raises:
        OSError: it cannot be written; the message names the file.
    """
    path = Path(path)
    beside = path.with_name(f'.{path.name}.{os.getpid()}.part')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(beside)
        with beside.open('rb') as file:
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        raise OSError(error.errno, f'{error.strerror or error}: could not be written; what was there before is '
                      'unchanged', str(path)) from error
    finally:
        beside.unlink(missing_ok=True)
