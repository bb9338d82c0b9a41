import pytest
import torch

from rsc_mm.models import EVACLIPViT
from rsc_mm.utils.checkpoint import CheckpointError, load_clip_checkpoint, read_checkpoint
from tests.test_engine.test_training import configure, data, train  # noqa: F401  a fixture

pytestmark = pytest.mark.slow  # trains, or starts whole programs

READOUTS = {'declip_csa': dict(type='csa', scaled=False),
            'denserc': dict(type='hsg', num_layers=3, project='per_layer')}


@pytest.mark.slow
@pytest.mark.parametrize('name', READOUTS)
def test_a_run_saves_the_readout_and_its_parameters(name, tmp_path):
    config = configure(tmp_path / name, name, **{'train_cfg.max_epochs': 1, 'train_cfg.val_interval': 2})
    runner = train(config)
    content = read_checkpoint((tmp_path / name / 'last_checkpoint').read_text())
    assert content['meta']['readout'] == READOUTS[name]
    assert {key.split('.')[0] for key in content['state_dict']} == {'backbone'}, 'neither teacher nor VFM is saved'
    fields = dict(arch=config.model.backbone.arch.to_dict())
    tower = EVACLIPViT(readout=READOUTS[name], **fields).eval()
    load_clip_checkpoint(tower, content)
    if name == 'denserc':
        gate = content['student_state_dict']['backbone.readout.gate.weight']
        assert gate.any() and torch.equal(gate, runner.model.backbone.readout.gate.weight)
        assert torch.equal(tower.readout.gate.weight, content['state_dict']['backbone.readout.gate.weight'])
    with pytest.raises(CheckpointError, match="but the backbone has readout='value'"):
        load_clip_checkpoint(EVACLIPViT(**fields), content)
