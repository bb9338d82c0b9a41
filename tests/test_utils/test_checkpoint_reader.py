import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseModule
from mmengine.runner import load_checkpoint
from torch import nn

from rsc_mm.models.text import read_embeddings
from rsc_mm.utils.checkpoint import CheckpointError, load_clip_checkpoint, read_checkpoint, trust_checkpoint
from rsc_mm.utils.checkpoint_reader import history_method, load_from_weights_only
from rsc_mm.utils.refiner_checkpoint import load_refiner_checkpoint
from tests.payload import Payload, hide_payload
from tests.towers import golden, tiny_eva


class Part(BaseModule):
    """A module of a host library whose weights come from ``init_cfg``."""

    def __init__(self, path: str | None = None) -> None:
        super().__init__(path and dict(type='Pretrained', checkpoint=path))
        self.layer = nn.Linear(1, 1)


READERS = {
    'read_checkpoint': read_checkpoint,
    'a tower': lambda path: load_clip_checkpoint(tiny_eva(), path),
    'a Refiner': lambda path: load_refiner_checkpoint(None, path, tiny_eva()),
    'class embeddings': read_embeddings,
    "MMEngine's load_checkpoint": lambda path: load_checkpoint(Part(), str(path)),
    "MMEngine's init_cfg": lambda path: Part(str(path)).init_weights(),
}


@pytest.mark.parametrize('reader', READERS)
def test_code_in_a_file_does_not_run(tmp_path, reader):
    file = hide_payload(None, tmp_path / 'foreign.pt', tmp_path / 'ran')
    with pytest.raises(ValueError, match=r'foreign.pt: cannot be read .*\w+\.\w+.* expected') as caught:
        READERS[reader](file)
    assert 'weights_only' not in str(caught.value), 'the advice of torch is the risk'
    assert not (tmp_path / 'ran').exists()
    torch.load(file, weights_only=False)
    assert (tmp_path / 'ran').exists(), 'the payload is one'


def test_mmengine_reads_through_us_whatever_its_build_does(tmp_path, monkeypatch):
    """The official build calls torch.load without weights_only, the maintained one falls back to weights_only=False."""
    asked, load = [], torch.load
    monkeypatch.setattr(torch, 'load', lambda *args, **kwargs: asked.append(kwargs) or load(*args, **kwargs))
    torch.save({'state_dict': Part().state_dict()}, tmp_path / 'part.pth')
    load_checkpoint(Part(), str(tmp_path / 'part.pth'))
    with pytest.raises(CheckpointError):
        load_checkpoint(Part(), str(hide_payload(None, tmp_path / 'foreign.pth', tmp_path / 'ran')))
    assert [call['weights_only'] for call in asked] == [True, True]


def test_the_message_tells_the_way_out_and_trust_is_for_one_file(tmp_path):
    mine, other = [hide_payload(None, tmp_path / f'{name}.pth', tmp_path / name) for name in ('mine', 'other')]
    with pytest.raises(CheckpointError, match='only if the file is your own, the tools take --trust-checkpoint FILE'):
        read_checkpoint(mine)
    trust_checkpoint(mine)
    assert 'extra' in read_checkpoint(mine)
    with pytest.raises(CheckpointError):
        read_checkpoint(other)
    assert (tmp_path / 'mine').exists() and not (tmp_path / 'other').exists()


def test_configurations_inside_are_left_out(tmp_path):
    """MMEngine would run them: Runner.resume meta.config, inferencers the others."""
    content = dict(state_dict={}, meta=dict(config='1', cfg='2', epoch=3),
                   message_hub=dict(runtime_info=dict(cfg='3', iter=4), log_scalars={}, resumed_keys={}))
    torch.save(content, tmp_path / 'a.pth')
    read = load_from_weights_only(str(tmp_path / 'a.pth'))
    assert read['meta'] == {'epoch': 3} and read['message_hub']['runtime_info'] == {'iter': 4}
    assert read_checkpoint(tmp_path / 'a.pth')['meta'] == content['meta']  # never run here
    trust_checkpoint(tmp_path / 'a.pth')
    assert load_from_weights_only(str(tmp_path / 'a.pth'))['meta']['config'] == '1'


def test_the_history_of_the_log_is_read(tmp_path):
    """What MMEngine's own CheckpointHook saves."""
    torch.save({'log': HistoryBuffer([1., 2.], [1, 1])}, tmp_path / 'a.pth')
    log = read_checkpoint(tmp_path / 'a.pth')['log']
    assert log.mean() == 1.5 and log.statistics('max') == 2
    assert history_method(HistoryBuffer, 'mean') is HistoryBuffer.mean
    for owner, name in ((HistoryBuffer, '__init__'), (HistoryBuffer, 'register_statistics'), (dict, 'min')):
        with pytest.raises(CheckpointError, match='asks for the attribute'):
            history_method(owner, name)


@pytest.mark.parametrize('content, kind', [([1, 2], 'list'), (torch.ones(2), 'Tensor'), ('text', 'str')])
def test_what_is_no_dict_is_refused(tmp_path, content, kind):
    torch.save(content, tmp_path / 'a.pth')
    for read in (read_checkpoint, load_from_weights_only):
        with pytest.raises(CheckpointError, match=f'a.pth: found a {kind}, expected a dict of tensors by name'):
            read(tmp_path / 'a.pth')


def test_weights_that_are_not_finite_are_refused(tmp_path):
    weights = golden('sd/')
    weights['visual.norm.bias'][3] = float('nan')
    torch.save(weights, tmp_path / 'a.pt')
    with pytest.raises(CheckpointError, match='a.pt does not fit the tower: values that are not finite in norm.bias'):
        load_clip_checkpoint(tiny_eva(), tmp_path / 'a.pt')


def test_object_storage_is_refused():
    for address in ('s3://bucket/a.pth', 'petrel://a.pth', 'cluster:s3://a.pth', 'pavi://a'):
        with pytest.raises(CheckpointError, match='object storage is not read, expected a local file'):
            load_checkpoint(Part(), address)


def test_an_address_is_read_the_same_way(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path / 'hub'))
    monkeypatch.setattr(torch.hub, 'download_url_to_file',
                        lambda url, target: torch.save({'extra': Payload(tmp_path / 'ran')}, target))
    with pytest.raises(CheckpointError, match='hub/checkpoints/a.pth: cannot be read as weights'):
        load_checkpoint(Part(), 'https://example.org/models/a.pth?download=1')
    assert not (tmp_path / 'ran').exists()
