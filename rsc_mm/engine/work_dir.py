"""Work directories: one training at a time, and where it goes on."""
import fcntl
import os
from pathlib import Path

from mmengine.logging import print_log

from rsc_mm.utils.checkpoint import CheckpointError

from .safe_checkpoint_hook import last_checkpoint

_held: dict[Path, int] = {}  # an open file keeps its lock until the process ends, however it ends


def lock_work_dir(work_dir: str | Path) -> None:
    """Claim a work directory for this process until it ends, by kill -9 too; the first process of a run does it.

    Args:
        work_dir: made where it is missing.

    Raises:
        ValueError: it is a file, or another training uses it.
        OSError: it cannot be made.
    """
    work_dir = Path(work_dir)
    if work_dir.exists() and not work_dir.is_dir():
        raise ValueError(f'--work-dir {work_dir}: found a file, expected a folder or none')
    work_dir.mkdir(parents=True, exist_ok=True)
    path = (work_dir / '.lock').resolve()
    if path in _held:
        return
    file = os.open(path, os.O_CREAT | os.O_RDWR)
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # of this process, not of its workers
    except BlockingIOError as error:
        os.close(file)
        raise ValueError(f'--work-dir {work_dir}: another training is running there; wait for it, or take another '
                         'folder') from error
    except OSError as error:
        print_log(f'{path}: the file system cannot lock ({error}); take care that one training uses it at a time',
                  'current', level=30)
    _held[path] = file


def checkpoint_to_resume(work_dir: str | Path) -> str | None:
    """The checkpoint that ``last_checkpoint`` names; None where nothing was saved yet.

    Args:
        work_dir: of the run; it may have been moved.

    Raises:
        CheckpointError: it names nothing that is there.
    """
    named = last_checkpoint(work_dir)
    if named is None:
        print_log(f'--resume: {work_dir} holds no last_checkpoint; training starts at the beginning', 'current')
        return None
    for path in (Path(named), Path(work_dir, Path(named).name)):
        if named and path.is_file():
            return str(path)
    there = sorted(path.name for path in Path(work_dir).glob('*.pth'))
    raise CheckpointError(f"{Path(work_dir, 'last_checkpoint')}: names {named!r}, found no such file; expected one of "
                          f'{there}: give it by --resume FILE')
