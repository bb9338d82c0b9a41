import errno
from pathlib import Path

import pytest

from rsc_mm.utils.part_file import PartFile


def test_a_line_that_a_full_disk_cut_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / 'out.part'
    PartFile(path, 'run').add([{'id': 1}, {'id': 2}])
    path.write_bytes(path.read_bytes() + b'{"id": 3, "bo')
    assert PartFile(path, 'run').unfinished([1, 2, 3]) == [2]
    assert path.read_bytes().endswith(b'{"id": 2}\n')


def test_finished_entries_outlive_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / 'out.part'
    PartFile(path, 'run').add([{'id': 1}])
    path.write_bytes(path.read_bytes() + b'{"id"')
    before = path.read_bytes()

    def full(path: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, 'No space left on device')
    monkeypatch.setattr(Path, 'write_bytes', full)
    with pytest.raises(OSError, match='No space left on device'):
        PartFile(path, 'run')
    assert path.read_bytes() == before and [file.name for file in tmp_path.iterdir()] == ['out.part']


@pytest.mark.parametrize('content', ['{"key": "another run"}\n{"id": 1}\n', 'some notes\n'])
def test_what_belongs_to_something_else_is_kept(tmp_path: Path, content: str) -> None:
    (tmp_path / 'out.part').write_text(content)
    with pytest.raises(ValueError, match=r'out\.part: found an unfinished run with other inputs'):
        PartFile(tmp_path / 'out.part', 'run')
    assert (tmp_path / 'out.part').read_text() == content
