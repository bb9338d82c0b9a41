import pytest
import torch

from rsc_mm.models import Refiner
from rsc_mm.utils.checkpoint import CheckpointError
from rsc_mm.utils.refiner_checkpoint import check_tower, load_refiner_checkpoint, tower_identity
from tests.towers import randomize, tiny_eva, tiny_vit


def refiner_of(tower: torch.nn.Module, seed: int = 0, **fields: object) -> Refiner:
    return randomize(Refiner(tower, 2, **{'inter_layers': (1, 2), 'hidden_dims': 16, **fields}), seed)


@pytest.fixture
def saved(tmp_path):
    """What stage 1 writes for `tiny_eva`."""
    tower, path = tiny_eva(), tmp_path / 'refiner.pth'
    weights = {f'refiner.{key}': value for key, value in refiner_of(tower).state_dict().items()}
    torch.save({'state_dict': weights, 'meta': tower_identity(tower)}, path)
    return path


def test_a_tower_is_known_by_its_class_shape_readout_and_weights():
    identity = tower_identity(tiny_eva())
    assert identity['tower'] == 'EVACLIPViT of width 48, depth 4, patch 16, readout value'
    assert len(identity['tower_hash']) == 64 and int(identity['tower_hash'], 16)
    assert identity == tower_identity(tiny_eva()) == tower_identity(tiny_eva().double()) == tower_identity(
        tiny_eva(frozen_stages=4, out_indices=(1, )))
    assert tower_identity(tiny_vit())['tower'].startswith('CLIPViT of width 48')
    assert len({tower_identity(tower)['tower_hash'] for tower in (tiny_eva(), tiny_eva(1), tiny_vit())}) == 3


def test_it_loads_onto_its_own_tower(saved):
    other = refiner_of(tiny_eva(), seed=1)
    load_refiner_checkpoint(other, saved, tiny_eva())
    expected = refiner_of(tiny_eva()).state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in other.state_dict().items())


def test_the_refiner_loads_what_its_init_cfg_names(saved):
    tower = tiny_eva()
    refiner = Refiner(tower, 2, (1, 2), 16, init_cfg=dict(type='Pretrained', checkpoint=str(saved)))
    refiner.init_weights(tower)
    expected = refiner_of(tower).state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in refiner.state_dict().items())


@pytest.mark.parametrize('key', ['cls_token', 'blocks.3.mlp.fc2.weight', 'head.bias'])
def test_a_tower_with_one_weight_changed_is_refused(saved, key):
    tower = tiny_eva()
    tower.vit.get_parameter(key).data.view(-1)[-1].add_(1e-3)
    refiner, found = refiner_of(tower, seed=1), tower_identity(tower)['tower_hash'][:12]
    with pytest.raises(CheckpointError, match=r'refiner.pth: belongs to the tower EVACLIPViT .* \(weights '
                       rf'{tower_identity(tiny_eva())["tower_hash"][:12]}\), found .* \(weights {found}\); give the'):
        load_refiner_checkpoint(refiner, saved, tower)
    assert torch.equal(refiner.fc_cls[0].weight, refiner_of(tower, seed=1).fc_cls[0].weight), 'nothing was loaded'


def test_the_same_weights_with_another_readout_are_refused(saved):
    tower = tiny_eva(readout='vanilla')
    with pytest.raises(CheckpointError, match='readout value .*, found .* readout vanilla'):
        load_refiner_checkpoint(refiner_of(tower), saved, tower)


def test_a_missing_file_is_named_with_the_command_that_makes_it(tmp_path):
    tower = tiny_eva()
    path = str(tmp_path / 'nothing.pth')
    config = dict(type='Pretrained', checkpoint=path, command='python tools/train.py configs/shapes/refiner.py')
    with pytest.raises(FileNotFoundError, match=f'Refiner checkpoint {path}: no such file; train the Refiner first: '
                       'python tools/train.py configs/shapes/refiner.py'):
        Refiner(tower, 2, (1, 2), 16, init_cfg=config).init_weights(tower)
    with pytest.raises(FileNotFoundError, match='train the Refiner first .*stage 1'):
        load_refiner_checkpoint(refiner_of(tower), path, tower)


@pytest.mark.parametrize('fields, expected', [
    (dict(inter_layers=None), 'unknown keys fc_inter.0.bias'),
    (dict(hidden_dims=8), r'other shapes: fc_inter.0.weight is \(16, 96\), expected \(8, 96\)'),
    (dict(init='pacl'), 'missing keys embedder.main.bias'),
])
def test_other_fields_than_the_saved_refiners_are_refused(saved, fields, expected):
    with pytest.raises(CheckpointError, match=f'refiner.pth does not fit the Refiner: .*{expected}.* Check its fields'):
        load_refiner_checkpoint(refiner_of(tiny_eva(), **fields), saved, tiny_eva())


def test_a_checkpoint_without_a_tower_is_refused(saved):
    content = torch.load(saved, weights_only=True)
    torch.save({'state_dict': content['state_dict']}, saved)
    with pytest.raises(CheckpointError, match='found no tower_hash in its meta, expected .* RefinerCheckpointHook'):
        load_refiner_checkpoint(refiner_of(tiny_eva()), saved, tiny_eva())
    check_tower(content['meta'], tower_identity(tiny_eva()), 'this one')
