import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from torch import nn

from rsc_mm.utils.checkpoint import CheckpointError, read_checkpoint
from rsc_mm.utils.torchscript_reader import read_torchscript
from tests.payload import Payload


class Writes(nn.Module):
    """Writes a file when ``torch.jit.load`` restores it."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path, self.value, self.training = path, torch.ones(1), True

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x

    @torch.jit.export
    def __getstate__(self) -> tuple[str, torch.Tensor, bool]:
        return self.path, self.value, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[str, torch.Tensor, bool]) -> None:
        self.path, self.value, self.training = state
        torch.save(state[1], state[0])


@pytest.mark.filterwarnings('ignore:.torch.jit:DeprecationWarning')
def test_the_tensors_are_those_of_torch(tmp_path):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 4, 2), nn.BatchNorm2d(4), nn.Sequential(nn.Linear(4, 4, bias=False)))
    module[2][0].weight.data = module[2][0].weight.data.t()  # another stride
    module.half().register_buffer('count', torch.tensor(7))
    torch.jit.script(module).save(tmp_path / 'a.pt')
    expected, found = torch.jit.load(tmp_path / 'a.pt').state_dict(), read_torchscript(tmp_path / 'a.pt')
    assert found.keys() == expected.keys() and len(found) == 9
    assert all(torch.equal(found[key], value) and found[key].dtype == value.dtype for key, value in expected.items())


@pytest.mark.filterwarnings('ignore:.torch.jit:DeprecationWarning')
def test_code_in_the_archive_does_not_run(tmp_path):
    file, written = tmp_path / 'a.pt', tmp_path / 'written'
    torch.jit.script(Writes(str(written))).save(file)
    try:
        read_checkpoint(file)
    except CheckpointError:
        pass
    assert not written.exists()
    torch.jit.load(file)
    assert written.exists(), 'the payload is one'


@pytest.mark.filterwarnings('ignore:.torch.jit:DeprecationWarning')
def test_a_payload_in_its_pickle_is_refused(tmp_path):
    torch.jit.script(nn.Linear(1, 1)).save(tmp_path / 'a.pt')
    _replace_pickle(tmp_path / 'a.pt', tmp_path / 'b.pt', pickle.dumps(Payload(tmp_path / 'ran'), 2))
    with pytest.raises(CheckpointError, match=r'b.pt: cannot be read as weights .*names posix.mkdir'):
        read_checkpoint(tmp_path / 'b.pt')
    assert not (tmp_path / 'ran').exists()


def _replace_pickle(source: Path, target: Path, content: bytes) -> None:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, 'w') as new:
        for name in old.namelist():
            new.writestr(name, content if name.endswith('/data.pkl') else old.read(name))
