"""Towers whose weights or patch are not those that the model is told."""
import copy

import pytest
import torch

from rsc_mm.models import EVACLIPViT, RegionEncoder, RegionPreprocessor
from rsc_mm.utils.checkpoint import export_state_dict, load_clip_checkpoint
from tests.towers import GOLDEN_ARCH, tiny_eva


@pytest.fixture
def saved(tmp_path):
    torch.save(export_state_dict(tiny_eva(), 'ours'), tmp_path / 'tower.pth')
    return str(tmp_path / 'tower.pth')


def configured(saved: str) -> EVACLIPViT:
    return EVACLIPViT(GOLDEN_ARCH, init_cfg=dict(type='Pretrained', checkpoint=saved))


def test_a_tower_whose_weights_were_never_loaded_is_refused(saved):
    tower, images = configured(saved), torch.ones(1, 3, 32, 32)
    for call in (tower, tower.encode_dense, tower.encode_image):
        with pytest.raises(RuntimeError, match=r"'init_cfg': .*tower.pth was not loaded, .* call init_weights\(\)"):
            call(images)
    tower.init_weights()
    assert torch.equal(tower.eval().encode_dense(images), tiny_eva().encode_dense(images))


@pytest.mark.parametrize('load', [
    lambda tower: tower.load_state_dict(tiny_eva().state_dict()),
    lambda tower: load_clip_checkpoint(tower, tiny_eva().state_dict()),
    lambda tower: torch.nn.Sequential(tower).load_state_dict(torch.nn.Sequential(tiny_eva()).state_dict()),
])
def test_weights_that_come_otherwise_count(saved, load):
    tower = copy.deepcopy(configured(saved))  # as a teacher is made
    load(tower)
    tower(torch.ones(1, 3, 32, 32))
    EVACLIPViT(GOLDEN_ARCH)(torch.ones(1, 3, 32, 32))  # asked for none


def test_the_preprocessor_must_have_the_patch_of_the_tower():
    fields = dict(type='RegionPreprocessor', image_size=64, crop_size=32)
    backbone = dict(type='EVACLIPViT', arch=GOLDEN_ARCH)
    RegionEncoder(backbone, {**fields, 'patch_size': 16})
    with pytest.raises(ValueError, match=r'model.data_preprocessor.patch_size: found 8, expected 16, the patch of the'):
        RegionEncoder(backbone, {**fields, 'patch_size': 8})


@pytest.mark.parametrize('field, value', [('image_size', 'big'), ('image_size', 64.), ('crop_size', 'small'),
                                          ('crop_size', 0)])
def test_sizes_are_numbers_of_pixels(field, value):
    with pytest.raises(ValueError, match=f'RegionPreprocessor.{field}: found {value!r}, expected a'):
        RegionPreprocessor(**{**dict(image_size=64, crop_size=32, patch_size=16), field: value})
