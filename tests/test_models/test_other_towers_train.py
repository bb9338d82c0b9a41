"""The configurations of towers with attention pooling, with a tiny tower: a few steps lower the loss."""
import pytest
import torch
from mmengine.config import Config

from rsc_mm.registry import MODELS
from rsc_mm.utils.refiner_checkpoint import tower_identity
from tests.test_models.test_distillers import batch
from tests.test_tools.common import REPOSITORY
from tests.towers import randomize

SMALL = dict(img_size=64, patch_size=16, embed_dim=48, depth=4, num_heads=3)
ARCHS = {'PECoreViT': dict(SMALL, num_classes=24, ref_feat_shape=(4, 4)), 'SigLIPViT': SMALL}
VFM = dict(type='VFMTeacher', arch=dict(type='EVACLIPViT', arch=dict(
    SMALL, img_size=56, patch_size=14, depth=2, num_classes=24, ref_feat_shape=(4, 4))))
REFINER = dict(num_blocks=2, inter_layers=(1, 2), hidden_dims=16)


def model_of(leaf: str, refiner: str | None = None) -> torch.nn.Module:
    """The model of a configuration with a tower of width 48 and random weights."""
    config = Config.fromfile(REPOSITORY / 'configs' / f'{leaf}.py').model.to_dict()
    config['backbone'] = {**config['backbone'], 'arch': ARCHS[config['backbone']['type']], 'init_cfg': None}
    if 'vfm' in config:
        config['vfm'] = VFM
    if 'refiner' in config:
        given = refiner and dict(config['refiner']['init_cfg'], checkpoint=refiner)
        config['refiner'] = {**config['refiner'], **REFINER, 'init_cfg': given}
    torch.manual_seed(0)
    model = MODELS.build(config)
    randomize(model.backbone, 0)
    model.init_weights()
    return model.train()


def assert_learns(model: torch.nn.Module) -> None:
    parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
    optimizer, losses = torch.optim.AdamW(parameters.values(), lr=1e-3), []
    for _ in range(6):
        loss = sum(model(**batch(), mode='loss').values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert not [name for name, p in parameters.items() if p.grad is None]


@pytest.mark.parametrize('leaf', [
    'clipself/clipself_pe_core_vitb16_coco_proposals', 'clipself/clipself_siglip2_vitb16_coco_proposals',
    'denserc/denserc_siglip2_vitb16_grid'])
def test_distillation_learns(leaf):
    assert_learns(model_of(leaf))


@pytest.mark.parametrize('tower', ['pe_core', 'siglip2'])
def test_both_stages_of_r_sc_learn(tower, tmp_path):
    first = model_of(f'rsc/refiner_{tower}_vitb16')
    assert_learns(first)
    path = tmp_path / 'refiner.pth'
    torch.save({'state_dict': first.state_dict(), 'meta': tower_identity(first.backbone)}, path)
    assert_learns(model_of(f'rsc/r_sc_clipself_{tower}_vitb16', str(path)))
