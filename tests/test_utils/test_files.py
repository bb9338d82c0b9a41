import errno
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from rsc_mm.utils.files import replacing


def test_a_complete_file_replaces_what_was_there(tmp_path: Path) -> None:
    for content in ('old', 'new'):
        with replacing(tmp_path / 'folder' / 'a.json') as beside:
            beside.write_text(content)
            assert beside.suffix == '.json' and beside.parent == tmp_path / 'folder'
    assert (tmp_path / 'folder' / 'a.json').read_text() == 'new'
    assert [path.name for path in (tmp_path / 'folder').iterdir()] == ['a.json']


@pytest.mark.parametrize('error, reason', [
    (OSError(errno.ENOSPC, 'No space left on device'), 'No space left on device'),
    (RuntimeError('[enforce fail at inline_container.cc:603] . unexpected pos 64'), 'unexpected pos 64')])
def test_a_full_disk_leaves_nothing_and_keeps_the_old(tmp_path: Path, error: Exception, reason: str) -> None:
    (tmp_path / 'a.pt').write_text('old')
    with pytest.raises(OSError, match=rf'a\.pt: could not be written: found ".*{reason}", expected a folder'), \
            replacing(tmp_path / 'a.pt') as beside:
        beside.write_text('hal')
        raise error
    assert [path.read_text() for path in tmp_path.iterdir()] == ['old']


def test_an_interruption_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), replacing(tmp_path / 'a.npy') as beside:
        beside.write_text('hal')
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_a_file_where_the_folder_should_be_is_named(tmp_path: Path) -> None:
    (tmp_path / 'folder').write_text('a file')
    with pytest.raises(OSError, match=r'folder/a\.npy: could not be written: found "(File exists|Not a directory)"'), \
            replacing(tmp_path / 'folder' / 'a.npy'):
        pass


def test_everybody_may_read_what_the_umask_allows(tmp_path: Path) -> None:
    (tmp_path / 'plain').touch()
    with replacing(tmp_path / 'weights.safetensors') as part:
        save_file({'x': torch.zeros(1)}, part)
    assert (tmp_path / 'weights.safetensors').stat().st_mode == (tmp_path / 'plain').stat().st_mode
