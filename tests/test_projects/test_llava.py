"""Towers for LLaVA: the exported folder, and the tower class around any of ours."""
import importlib.util
import json

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image
from safetensors import safe_open

from rsc_mm.apis.clip_vision_model import clip_vision_config, clip_vision_weights, write_clip_vision_model
from rsc_mm.apis.description import TowerDescription
from rsc_mm.models import CLIPViT
from rsc_mm.utils.checkpoint import load_clip_checkpoint
from tests.test_tools.common import REPOSITORY, run_tool
from tests.towers import tiny_eva, tiny_vit

DESCRIPTION = TowerDescription(dict(type='CLIPViT', arch={}, readout='value'), mean=(0.1, 0.2, 0.3),
                               std=(0.4, 0.5, 0.6))


@pytest.fixture(scope='module')
def towers():
    spec = importlib.util.spec_from_file_location('dense_clip_tower', REPOSITORY / 'projects/llava/dense_clip_tower.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_round_trip(tmp_path):
    tower, other = tiny_vit(), tiny_vit(seed=1)
    write_clip_vision_model(tmp_path / 'out', tower, DESCRIPTION, projection=True)
    load_clip_checkpoint(other, tmp_path / 'out' / 'model.safetensors')
    assert all(torch.equal(a, b) for a, b in zip(tower.state_dict().values(), other.state_dict().values(), strict=True))


def test_folder_as_transformers_documents_it(tmp_path):
    tower = tiny_vit()
    write_clip_vision_model(tmp_path / 'out', tower, DESCRIPTION)
    config = json.loads((tmp_path / 'out' / 'config.json').read_text())
    assert config['model_type'] == 'clip_vision_model' and config['architectures'] == ['CLIPVisionModel']
    assert config['hidden_act'] == 'quick_gelu' and config['layer_norm_eps'] == 1e-5
    assert (config['hidden_size'], config['intermediate_size'], config['num_hidden_layers'],
            config['num_attention_heads'], config['image_size'], config['patch_size']) == (48, 192, 4, 3, 64, 16)
    processor = json.loads((tmp_path / 'out' / 'preprocessor_config.json').read_text())
    assert processor['image_mean'] == [0.1, 0.2, 0.3] and processor['crop_size'] == {'height': 64, 'width': 64}
    with safe_open(tmp_path / 'out' / 'model.safetensors', framework='pt') as file:
        assert file.metadata()['format'] == 'pt'
        assert set(file.keys()) == set(clip_vision_weights(tower)) - {'visual_projection.weight'}
        q = file.get_tensor('vision_model.encoder.layers.0.self_attn.k_proj.weight')
    assert torch.equal(q, tower.vit.blocks[0].attn.qkv.weight[48:96])


def test_plain_gelu_is_named():
    tower = CLIPViT(dict(img_size=32, patch_size=16, embed_dim=48, depth=2, num_heads=3, num_classes=24,
                         act_layer='gelu'))
    assert clip_vision_config(tower)['hidden_act'] == 'gelu'


def test_number_of_tensors_of_the_published_depth():
    tower = CLIPViT(dict(img_size=32, patch_size=16, embed_dim=32, depth=24, num_heads=2, num_classes=24))
    weights = clip_vision_weights(tower)
    assert len(weights) == 391 + 1  # and the projection
    assert weights['vision_model.embeddings.position_embedding.weight'].shape == (5, 32)
    assert 'vision_model.pre_layrnorm.weight' in weights  # sic


def test_what_has_no_place_there_is_refused(tmp_path):
    with pytest.raises(TypeError, match='found a tower of type EVACLIPViT, expected CLIPViT.*dense_clip_tower.py'):
        write_clip_vision_model(tmp_path / 'out', tiny_eva(), DESCRIPTION)
    tower = tiny_vit()
    tower.vit.head.bias.data.fill_(1.)
    with pytest.raises(ValueError, match='the head has a bias'):
        write_clip_vision_model(tmp_path / 'out', tower, DESCRIPTION)
    assert not (tmp_path / 'out').exists()
    write_clip_vision_model(tmp_path / 'out', tiny_vit(), DESCRIPTION)
    with pytest.raises(FileExistsError, match='holds a model already'):
        write_clip_vision_model(tmp_path / 'out', tiny_vit(), DESCRIPTION)


@torch.no_grad()
def test_transformers_computes_the_same(tmp_path):
    transformers = pytest.importorskip('transformers', reason='transformers is not installed ([llava])')
    tower, x = tiny_vit(), torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    write_clip_vision_model(tmp_path / 'out', tower, DESCRIPTION)
    model = transformers.CLIPVisionModel.from_pretrained(tmp_path / 'out').eval()
    states = model(x, output_hidden_states=True).hidden_states
    for block in range(tower.depth - 1):  # all that LLaVA can read; the last block is that of the dense readout
        theirs = states[block + 1][:, 1:].transpose(1, 2).unflatten(2, (4, 4))  # (B, C, h, w)
        ours, = tower.intermediates(x, (block, ))
        assert torch.equal(ours, theirs)


@torch.no_grad()
@pytest.mark.parametrize('features, size', [('penultimate', 64), ('readout', 64), ('embedding', 128)])
def test_tower_class(towers, features, size):
    tower = towers.DenseCLIPTower(REPOSITORY / 'projects/shapes_clip/shapes_clip.pt', features, delay_load=True)
    assert not tower.is_loaded
    tower.load_model()
    side = tower.config.image_size
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (side, 2 * side, 3), dtype=np.uint8))
    pixels = tower.image_processor.preprocess([image, image])['pixel_values']
    assert pixels.shape == (2, 3, side, side)
    centre = torch.from_numpy(np.array(image)[:, side // 2:side // 2 + side]).permute(2, 0, 1) / 255
    mean, std = (torch.tensor(x)[:, None, None] for x in (tower.image_processor.image_mean,
                                                          tower.image_processor.image_std))
    assert torch.allclose(pixels[0], (centre - mean) / std, atol=1e-5)
    tokens = tower(pixels)
    assert tokens.shape == (2, tower.num_patches, tower.hidden_size)
    assert torch.equal(tower([pixels[0], pixels[1]])[1], tower(pixels[1:])[0])
    assert tower.dummy_feature.shape == (1, tower.hidden_size)
    if features == 'penultimate':
        expected, = tower.tower.intermediates(pixels, (tower.tower.depth - 2, ))
        assert torch.equal(tokens, expected.flatten(2).transpose(1, 2))


def test_unknown_features(towers):
    with pytest.raises(ValueError, match="field 'features': found 'cls'"):
        towers.DenseCLIPTower('nothing.pt', 'cls', delay_load=True)


def test_tool(tmp_path):
    torch.save(tiny_vit().vit.state_dict(), tmp_path / 'vit.pth')
    arch = dict(img_size=64, patch_size=16, embed_dim=48, depth=4, num_heads=3, num_classes=24)
    Config(dict(model=dict(backbone=dict(type='CLIPViT', arch=arch)))).dump(tmp_path / 'config.py')
    printed = run_tool(['tools/converters/export_clip_vision.py', str(tmp_path / 'config.py'),
                        str(tmp_path / 'vit.pth'), str(tmp_path / 'out')])
    assert sorted(path.name for path in (tmp_path / 'out').iterdir()) == ['config.json', 'model.safetensors',
                                                                         'preprocessor_config.json']
    assert 'model.safetensors' in printed
