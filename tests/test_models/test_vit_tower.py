"""`ViTTower` on timm networks of every family, and the readout contract, by a readout over three blocks."""
import pytest
import torch
from timm.models.eva import Eva
from timm.models.vision_transformer import VisionTransformer
from torch import nn
from torch.nn import functional as F

from rsc_mm.models import Refiner, ViTTower
from rsc_mm.models.backbones.blocks import class_token, run_block
from rsc_mm.models.backbones.networks import build_vit
from rsc_mm.models.backbones.readouts import DenseTokens, Readout
from rsc_mm.registry import READOUTS
from rsc_mm.utils.checkpoint import CheckpointError, checkpoint_meta, export_state_dict, load_clip_checkpoint
from tests.towers import randomize, tiny_eva, tiny_vit

SIZE = dict(img_size=64, patch_size=16, embed_dim=48, depth=4, num_heads=3)
# What distinguishes the families, on one size: timm's class and its arguments.
FAMILIES = {
    'CLIP': (VisionTransformer, dict(pre_norm=True, num_classes=24)),
    'DINOv2': (VisionTransformer, dict(num_classes=0, init_values=0.5)),
    'DINOv2 with registers': (VisionTransformer, dict(num_classes=0, init_values=0.5, reg_tokens=4,
                                                      no_embed_class=True)),
    'TIPSv2': (VisionTransformer, dict(num_classes=0, init_values=0.5, reg_tokens=1, no_embed_class=True)),
    'SigLIP': (VisionTransformer, dict(num_classes=0, class_token=False, global_pool='map')),
    'q/k norm': (VisionTransformer, dict(num_classes=24, qk_norm=True, scale_attn_norm=True)),
    'no positions': (VisionTransformer, dict(num_classes=24, pos_embed='none')),
    'mean': (VisionTransformer, dict(num_classes=24, class_token=False, global_pool='avg')),
    'DINOv3': (Eva, dict(num_classes=0, init_values=0.5, num_reg_tokens=4, use_abs_pos_emb=False, use_rot_pos_emb=True,
                         rope_type='dinov3', rope_temperature=100, rope_rotate_half=True, global_pool='token')),
    'PE-Core': (Eva, dict(num_classes=24, attn_type='rope', use_pre_transformer_norm=True, use_rot_pos_emb=True,
                          ref_feat_shape=(4, 4), rope_grid_offset=1., rope_grid_indexing='xy', global_pool='map')),
    'PE-Core without class token': (Eva, dict(num_classes=24, attn_type='rope', class_token=False, qk_norm=True,
                                              use_rot_pos_emb=True, ref_feat_shape=(4, 4), global_pool='map')),
}
EACH_FAMILY = pytest.mark.parametrize('family', FAMILIES)
EACH_READOUT = pytest.mark.parametrize('readout', ['value', 'vanilla', 'qq', 'csa', 'all', 'hsg', 'toy'])


@READOUTS.register_module('toy')
class ToyReadout(Readout):
    """Content: the weighted sum of the inputs of the last three blocks; context: the first of them."""

    num_blocks = 3
    fields = ('power', )

    def __init__(self, vit: nn.Module, power: float = 1.) -> None:
        super().__init__(vit)
        self.power = power
        self.weights = nn.Parameter(torch.tensor([1., 2., 3.]))

    def unused(self, blocks: nn.ModuleList) -> list[nn.Module]:
        return [blocks[-1]]

    def forward(self, blocks: nn.ModuleList, inputs: tuple[torch.Tensor, ...],
                rope: torch.Tensor | None) -> DenseTokens:
        assert len(blocks) == len(inputs) == 3
        content = sum(w ** self.power * self.patches(x) for w, x in zip(self.weights, inputs))
        return DenseTokens(content, self.patches(inputs[0]))


def tower_of(family: str, readout: str | dict = 'value', **fields: object) -> ViTTower:
    network, arch = FAMILIES[family]
    fields = {'out_indices': None, 'frozen_stages': 0, 'with_cp': False, 'init_cfg': None, **fields}
    return randomize(ViTTower(build_vit(network, {**SIZE, **arch}, {}), readout, **fields), 0)


def images(height: int = 64, width: int = 64) -> torch.Tensor:
    return torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
@EACH_FAMILY
def test_image_embedding_and_blocks_are_timms_own(family):
    tower, x = tower_of(family, 'vanilla', out_indices=(0, 3)), images()
    assert torch.allclose(tower.encode_image(x), tower.vit(x), atol=1e-5)
    theirs = tower.vit.forward_intermediates(x, indices=[0, 3], intermediates_only=True)
    for mine, other in zip(tower(x), theirs, strict=True):
        assert torch.allclose(mine, other, atol=1e-5)


@torch.no_grad()
@EACH_FAMILY
@EACH_READOUT
def test_every_readout_on_a_rectangle(family, readout):
    tower = tower_of(family, readout)
    dense = tower.encode_dense(images(40, 80))
    assert dense.shape == (2, tower.embed_dim, 3, 5) and dense.isfinite().all()
    assert torch.allclose(dense.norm(dim=1), torch.ones(2, 3, 5), atol=1e-5)
    assert tower.encode_dense(images()[:0]).shape == (0, tower.embed_dim, 1, 1)


@torch.no_grad()
@EACH_FAMILY
def test_class_token_is_the_first_row_of_the_block(family):
    """Also with q/k norm, LayerScale, registers and both layouts of rotary positions."""
    tower = tower_of(family)
    tokens, rope, _ = tower._tokens(images(48, 80), {3})
    block = tower.vit.blocks[-1]
    rows = class_token(block, tokens[3], rope)
    if tower.num_prefix_tokens:  # without a prefix the first token is a patch, which is rotated
        assert torch.allclose(rows, run_block(block, tokens[3], rope)[:, 0], atol=1e-5)


@pytest.mark.parametrize('gated', [nn.Linear(48, 48), None], ids=['gate', 'no gate'])
def test_the_value_path_is_attention_to_itself(gated):
    """A token attends to itself: on an image of one patch, without prefix, the value path is the whole block."""
    tower = tower_of('mean')
    tower.vit.blocks[-1].attn.gate = gated
    x = images(16, 16)
    tokens, rope, _ = tower._tokens(x, {3})
    expected = run_block(tower.vit.blocks[-1], tokens[3], rope)
    assert torch.allclose(tower.intermediates(x, (3, ))[0].flatten(2).transpose(1, 2), expected, atol=1e-5)


@torch.no_grad()
def test_one_patch_has_the_embedding_of_its_image():
    tower, x = tower_of('mean', 'vanilla'), images(16, 16)
    assert torch.allclose(tower.encode_dense(x, normalize=False).flatten(1), tower.encode_image(x), atol=1e-5)


@EACH_FAMILY
@EACH_READOUT
def test_what_trains_gets_a_gradient_and_nothing_else(family, readout):
    tower = tower_of(family, readout)
    tower.encode_dense(images(48, 64))[:, 0].sum().backward()
    for name, p in tower.named_parameters():
        assert (p.grad is not None) == p.requires_grad, name
        assert not p.requires_grad or name.startswith(('vit.blocks.', 'readout.')), name


def test_a_readout_sees_the_inputs_of_the_blocks_it_names():
    tower, x = tower_of('CLIP', 'toy'), images(48, 64)
    plain = tower_of('CLIP', out_indices=(0, 1, 2))
    first, second, third = plain(x)  # after blocks 0, 1, 2: the inputs of blocks 1, 2, 3
    w = tower.readout.weights
    content, context = tower.encode_content_and_context(x)
    expected = w[0] * first + w[1] * second + w[2] * third
    assert torch.allclose(tower.intermediates(x, (3, ))[0], expected, atol=1e-5)
    assert torch.allclose(content, plain.project(expected, normalize=False), atol=1e-4)
    assert torch.allclose(context, first, atol=1e-5)
    assert torch.allclose(tower.encode_dense(x), F.normalize(content, dim=1), atol=1e-5)
    both = tower_of('CLIP', 'toy', out_indices=(1, 3))(x)
    assert torch.allclose(both[0], second, atol=1e-5) and torch.allclose(both[1], expected, atol=1e-5)


def test_a_readout_without_context_gives_its_dense_map():
    content, context = tower_of('CLIP').encode_content_and_context(images())
    assert context is content


def test_the_readouts_own_parameters_train_checkpoint_and_freeze():
    tower, x = tower_of('CLIP', 'toy'), images()
    cheap = tower_of('CLIP', 'toy', with_cp=True)
    gradients = []
    for model in (tower, cheap):
        model.train().encode_dense(x)[:, 0].sum().backward()
        gradients.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    assert 'readout.weights' in gradients[0] and gradients[0].keys() == gradients[1].keys()
    assert all(torch.allclose(g, gradients[1][name], atol=1e-6) for name, g in gradients[0].items())
    assert not any(p.requires_grad for p in tower_of('CLIP', 'toy', frozen_stages=4).parameters())


@pytest.mark.parametrize('layout', ['ours', 'mmdet', 'clip'])
@pytest.mark.parametrize('build', [tiny_eva, tiny_vit])
def test_the_readouts_own_parameters_are_published_and_loaded(build, layout):
    tower, other = build(readout='toy'), build(1, readout='toy')
    tower.readout.weights.data.copy_(torch.tensor([3., 4., 5.]))
    weights = export_state_dict(tower, layout)
    prefix = {'ours': '', 'mmdet': 'backbone.', 'clip': 'visual.'}[layout]
    assert torch.equal(weights[f'{prefix}readout.weights'], tower.readout.weights)
    load_clip_checkpoint(other, {'state_dict': weights, 'meta': checkpoint_meta(tower)})
    assert torch.equal(other.encode_dense(images()), tower.encode_dense(images()))


def test_a_public_checkpoint_leaves_the_readouts_own_parameters_as_they_are():
    tower = tiny_eva(1, readout='toy')
    tower.readout.weights.data.fill_(7.)
    load_clip_checkpoint(tower, export_state_dict(tiny_eva(), 'clip'))
    assert tower.readout.weights.tolist() == [7., 7., 7.]


def test_fields_travel_and_a_mismatch_is_refused():
    tower = tiny_eva(readout=dict(type='toy', power=2.))
    meta = checkpoint_meta(tower)
    assert meta['readout'] == dict(type='toy', power=2.)
    content = {'state_dict': export_state_dict(tower, 'ours'), 'meta': meta}
    load_clip_checkpoint(tiny_eva(readout=dict(type='toy', power=2.)), content)
    with pytest.raises(CheckpointError, match=r"trained with readout \{'type': 'toy', 'power': 2.0\}, but the backbone "
                       r"has readout=\{'type': 'toy', 'power': 1.0\}; set the backbone's field readout="):
        load_clip_checkpoint(tiny_eva(readout='toy'), content)
    with pytest.raises(CheckpointError, match="does not fit the readout: missing keys weights. Check the backbone's"):
        load_clip_checkpoint(tower, {'state_dict': export_state_dict(tiny_eva(), 'ours'), 'meta': meta})
    with pytest.raises(CheckpointError, match='does not fit the readout: unknown keys weights'):
        load_clip_checkpoint(tiny_eva(), export_state_dict(tower, 'ours'))


def test_one_readout_starts_from_another_when_told_so(tmp_path):
    source = tiny_eva()
    path = str(tmp_path / 'value.pth')
    torch.save({'state_dict': export_state_dict(source, 'ours'), 'meta': checkpoint_meta(source)}, path)
    init_cfg = dict(type='Pretrained', checkpoint=path)
    with pytest.raises(CheckpointError, match=r"or init_cfg=dict\(..., readout='value'\) to start this readout"):
        tiny_eva(readout='toy', init_cfg=init_cfg).init_weights()
    tower = tiny_eva(1, readout='toy', init_cfg={**init_cfg, 'readout': 'value'})
    tower.init_weights()
    assert torch.equal(tower.encode_image(images()), source.encode_image(images()))


@pytest.mark.parametrize('readout, expected', [
    (dict(type='toy', strength=2), r"found \['strength'\] in .* expected no other fields than \['power'\]"),
    (dict(power=2), r"'readout': found \{'power': 2\}, expected one of"),
    (dict(type='value', scaled=True), r"found \['scaled'\]"),
])
def test_bad_readouts(readout, expected):
    with pytest.raises(ValueError, match=expected):
        tiny_eva(readout=readout)


def test_a_readout_of_more_blocks_than_the_tower_has_is_refused():
    with pytest.raises(ValueError, match='reads the last 3 blocks, expected at most 2, the depth'):
        ViTTower(build_vit(VisionTransformer, {**SIZE, 'depth': 2}, {}), 'toy', None, 0, False, None)


def test_the_refiner_reads_through_the_same_contract():
    tower, x = tower_of('CLIP', 'toy').freeze(), images(48, 64)
    refiner = Refiner(tower, 3, (1, 1), 16)
    refiner.init_weights(tower)
    box = [torch.tensor([[0., 0., 64., 48.]])] * 2
    refined = refiner(tower.intermediates(x, refiner.layers), box, (3, 4))
    assert refined.shape == (2, 12, 24)
    refined.sum().backward()
    assert refiner.readout.weights.grad is not None and tower.readout.weights.grad is None
    for name, p in refiner.named_parameters():
        assert (p.grad is not None) == p.requires_grad, name
    with pytest.raises(ValueError, match="'num_blocks': found 2, expected 3 to 3 for a tower of 4 blocks whose"):
        Refiner(tower, 2, (1, 1), 16)


def test_the_refiner_of_a_tower_without_class_token():
    tower, x = tower_of('mean').freeze(), images(48, 64)
    with pytest.raises(ValueError, match="'region_token': found True for a tower without class token, expected False"):
        Refiner(tower, 2, (1, 2), 16)
    refiner = Refiner(tower, 2, (1, 2), 16, region_token=False)
    refiner.init_weights(tower)
    refined = refiner(tower.intermediates(x, refiner.layers), [torch.tensor([[0., 0., 64., 48.]])] * 2, (3, 4))
    dense = tower.encode_dense(x, normalize=False).flatten(2).transpose(1, 2)  # (B, N, D)
    assert torch.allclose(refined, dense, atol=1e-5), 'FC_inter starts at 0, and nothing else is new'


def test_registers_of_a_region_are_refused():
    with pytest.raises(ValueError, match='found 5 prefix tokens, expected at most one'):
        Refiner(tower_of('DINOv2 with registers'), 2, (1, 2), 16)


def test_blocks_of_another_kind_are_refused():
    vit = Eva(**SIZE, num_classes=24, use_post_norm=True, global_pool='token', dynamic_img_size=True, qkv_fused=False)
    with pytest.raises(ValueError, match='found blocks of type EvaBlockPostNorm, expected pre-norm blocks'):
        ViTTower(vit, 'value', None, 0, False, None)
    fused = Eva(**SIZE, num_classes=24, global_pool='token', dynamic_img_size=True)
    with pytest.raises(ValueError, match='found a fused query-key-value projection, expected .* qkv_fused=False'):
        ViTTower(fused, 'value', None, 0, False, None)
