import math

import pytest
import torch
from torch.nn import functional as F

from rsc_mm.models import CLIPViT, EVACLIPViT
from rsc_mm.models.backbones.blocks import class_token, run_block
from rsc_mm.utils.checkpoint import load_clip_checkpoint
from rsc_mm.utils.regions import pool_masks, pool_regions
from tests.towers import GOLDEN_ARCH, golden, tiny_eva, tiny_vit

TOWERS = [tiny_eva, tiny_vit]


@pytest.fixture
def reference() -> EVACLIPViT:
    tower = EVACLIPViT(GOLDEN_ARCH).eval()
    load_clip_checkpoint(tower, golden('sd/'))
    return tower


@torch.no_grad()
def test_golden_parity(reference):
    io = golden('io/')
    dense = reference.encode_dense(io['dense_input'])
    boxes = [io[f'roi_boxes_{i}'] * 96 for i in range(2)]
    masks = [io[f'mask_{i}'] for i in range(2)]
    assert (reference.encode_image(io['image_input']) - io['image_embedding']).abs().max() < 1e-5
    assert (dense - io['dense_value']).abs().max() < 1e-5
    assert (pool_regions(dense, boxes, 16) - io['roi_value']).abs().max() < 1e-5
    assert (pool_masks(dense, masks) - io['maskpool_value']).abs().max() < 1e-5


def slow_eva_dense(weights: dict[str, torch.Tensor], image: torch.Tensor) -> torch.Tensor:
    """The dense value path of EVA-02-CLIP, written from its description in the original key names, one image."""
    w = {key.removeprefix('visual.'): value for key, value in weights.items()}
    patches = F.conv2d(image[None], w['patch_embed.proj.weight'], w['patch_embed.proj.bias'], stride=16)[0]
    _, rows, columns = patches.shape
    grid = w['pos_embed'][0, 1:].reshape(4, 4, 48).permute(2, 0, 1)  # (C, 4, 4)
    grid = F.interpolate(grid[None], (rows, columns), mode='bicubic', align_corners=False)[0]
    tokens = [w['cls_token'][0, 0] + w['pos_embed'][0, 0]]
    tokens += [patches[:, i, j] + grid[:, i, j] for i in range(rows) for j in range(columns)]
    x = torch.stack(tokens)  # (1+N, C)

    def norm(name, y, eps=1e-6):
        return F.layer_norm(y, y.shape[-1:], w[name + '.weight'], w[name + '.bias'], eps)

    def turn(y):  # one head, (N, 16): the first half of the channels turns with the row, the second with the column
        out = torch.empty_like(y)
        for n in range(len(y)):
            position = (n // columns) / rows * 4, (n % columns) / columns * 4
            for pair in range(8):
                axis, frequency = divmod(pair, 4)
                angle = position[axis] * 10000 ** (-2 * frequency / 8)
                a, b = y[n, 2 * pair], y[n, 2 * pair + 1]
                out[n, 2 * pair] = a * math.cos(angle) - b * math.sin(angle)
                out[n, 2 * pair + 1] = b * math.cos(angle) + a * math.sin(angle)
        return out

    def mlp(block, y):
        hidden = F.silu(y @ w[block + 'mlp.w1.weight'].T + w[block + 'mlp.w1.bias'])
        hidden = hidden * (y @ w[block + 'mlp.w2.weight'].T + w[block + 'mlp.w2.bias'])
        return norm(block + 'mlp.ffn_ln', hidden) @ w[block + 'mlp.w3.weight'].T + w[block + 'mlp.w3.bias']

    for index in range(4):
        block = f'blocks.{index}.'
        y = norm(block + 'norm1', x)
        value = y @ w[block + 'attn.v_proj.weight'].T + w[block + 'attn.v_bias']
        if index < 3:
            query = y @ w[block + 'attn.q_proj.weight'].T + w[block + 'attn.q_bias']
            key = y @ w[block + 'attn.k_proj.weight'].T
            heads = []
            for head in range(3):
                part = slice(16 * head, 16 * head + 16)
                q = torch.cat([query[:1, part], turn(query[1:, part])])
                k = torch.cat([key[:1, part], turn(key[1:, part])])
                heads.append((q @ k.T / 4).softmax(-1) @ value[:, part])
            value = torch.cat(heads, dim=1)
        value = norm(block + 'attn.inner_attn_ln', value)
        x = x + value @ w[block + 'attn.proj.weight'].T + w[block + 'attn.proj.bias']
        x = x + mlp(block, norm(block + 'norm2', x))
    dense = F.normalize(norm('norm', x[1:]) @ w['head.weight'].T + w['head.bias'], dim=1)
    return dense.T.reshape(24, rows, columns)


@torch.no_grad()
def test_rectangle_against_slow_version(reference):
    image = torch.randn(3, 48, 80, generator=torch.Generator().manual_seed(1))
    fast = reference.encode_dense(image[None])[0]
    assert (fast - slow_eva_dense(golden('sd/'), image)).abs().max() < 1e-5


@pytest.mark.parametrize('arch, parameters, tensors, embed_dim', [
    ('eva02_base_patch16_clip_224', 86_263_040, 260, 512),
    ('eva02_large_patch14_clip_336', 304_432_832, 512, 768),
])
def test_counts_of_the_published_towers(arch, parameters, tensors, embed_dim):
    with torch.device('meta'):
        tower = EVACLIPViT(arch)
    assert sum(p.numel() for p in tower.vit.parameters()) == parameters
    assert len(tower.vit.state_dict()) == tensors
    assert tower.embed_dim == embed_dim


@torch.no_grad()
@pytest.mark.parametrize('build', TOWERS)
def test_class_token_is_the_first_row_of_the_block(build):
    tower = build()
    tokens, rope, _ = tower._tokens(torch.randn(2, 3, 48, 80), {3})
    tokens = tokens[3]
    block = tower.vit.blocks[-1]
    assert torch.allclose(class_token(block, tokens, rope), run_block(block, tokens, rope)[:, 0], atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize('build', TOWERS)
def test_image_embedding_is_timms_own(build):
    tower, image = build(), torch.randn(2, 3, 64, 64)
    assert torch.allclose(tower.encode_image(image), tower.vit(image), atol=1e-5)
    assert torch.allclose(tower.encode_image(image, normalize=True).norm(dim=1), torch.ones(2))


@torch.no_grad()
@pytest.mark.parametrize('build', TOWERS)
def test_vanilla_readout_is_the_unchanged_network(build):
    tower, image = build(readout='vanilla'), torch.randn(1, 3, 64, 64)
    expected = tower.vit.head(tower.vit.forward_features(image))[0, 1:].T.reshape(24, 4, 4)
    assert torch.allclose(tower.encode_dense(image, normalize=False)[0], expected, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize('build', TOWERS)
def test_any_rectangle_is_padded_to_whole_patches(build):
    tower, image = build(), torch.randn(1, 3, 70, 33)
    padded = F.pad(image, (0, 15, 0, 10))
    assert torch.equal(tower.encode_dense(image), tower.encode_dense(padded))
    assert tower.encode_dense(image).shape == (1, 24, 5, 3)


@torch.no_grad()
@pytest.mark.parametrize('build', TOWERS)
def test_intermediates(build):
    tower, image = build(out_indices=(0, 2, 3)), torch.randn(2, 3, 48, 64)
    maps = tower(image)
    assert [m.shape for m in maps] == [(2, 48, 3, 4)] * 3
    last = maps[-1].flatten(2).transpose(1, 2)  # (B, N, C)
    dense = F.normalize(tower.vit.head(tower.vit.norm(last)), dim=2)
    assert torch.allclose(dense.transpose(1, 2).reshape(2, 24, 3, 4), tower.encode_dense(image), atol=1e-6)


def trainable(tower) -> set[str]:
    return {name for name, p in tower.named_parameters() if p.requires_grad}


@pytest.mark.parametrize('build', TOWERS)
@pytest.mark.parametrize('readout', ['value', 'vanilla'])
@pytest.mark.parametrize('frozen_stages', [0, 2])
def test_every_trainable_parameter_gets_a_gradient(build, readout, frozen_stages):
    tower = build(readout=readout, frozen_stages=frozen_stages)
    tower.encode_dense(torch.randn(1, 3, 48, 64)).square().sum().add(0).backward()
    tower.encode_dense(torch.randn(1, 3, 48, 64))[:, 0].sum().backward()
    got = {name for name, p in tower.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    # A key bias shifts all logits of a row alike: its gradient is zero, but it is in the graph.
    assert {n for n in trainable(tower) - got if not n.endswith('.k.bias')} == set()
    assert all(not n.startswith(f'vit.blocks.{i}.') for n in trainable(tower) for i in range(frozen_stages))


@pytest.mark.parametrize('build', TOWERS)
def test_freezing_by_role(build):
    assert all(p.requires_grad for p in build(frozen_stages=-1).parameters())
    names = trainable(build())
    assert all(name.startswith('vit.blocks.') for name in names)
    assert not any('blocks.3.attn.q' in n and not n.endswith(('v.weight', 'v.bias')) for n in names)
    frozen = build(frozen_stages=4)
    assert trainable(frozen) == set()
    assert not frozen.train().training


@pytest.mark.parametrize('build', TOWERS)
def test_activation_checkpointing_changes_no_gradient(build):
    image, gradients = torch.randn(1, 3, 48, 64), []
    for with_cp in (False, True):
        tower = build(with_cp=with_cp).train()
        tower.encode_dense(image)[:, 0].sum().backward()
        gradients.append({n: p.grad for n, p in tower.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys() == trainable(tower)
    assert all(torch.equal(gradients[0][n], gradients[1][n]) for n in gradients[0])


@pytest.mark.parametrize('build', TOWERS)
def test_bfloat16_autocast(build):
    tower, image = build(), torch.randn(1, 3, 48, 64)
    with torch.autocast('cpu', torch.bfloat16):
        dense = tower.encode_dense(image)
        embedding = tower.encode_image(image, normalize=True)
    assert dense.dtype == embedding.dtype == torch.float32
    assert (dense - tower.encode_dense(image)).abs().max() < 0.1
    dense[:, 0].sum().backward()
    assert all(p.grad.isfinite().all() for p in tower.parameters() if p.grad is not None)


@pytest.mark.parametrize('kwargs, expected', [
    (dict(readout='qqq'), "field 'readout': found 'qqq'"),
    (dict(frozen_stages=9), "'frozen_stages': found 9, expected -1 to 4"),
    (dict(out_indices=(3, 1)), r"'out_indices': found \(3, 1\)"),
    (dict(out_indices=(4, )), r'expected ascending block numbers in 0..3'),
    (dict(init_cfg=dict(type='Xavier')), "'init_cfg': found"),
])
def test_bad_fields(kwargs, expected):
    with pytest.raises(ValueError, match=expected):
        tiny_eva(**kwargs)


@pytest.mark.parametrize('tower, arch, expected', [
    (EVACLIPViT, 'eva02_basis', "'arch': found 'eva02_basis'"),
    (EVACLIPViT, 'vit_base_patch16_clip_224', "expected one of timm's Eva networks"),
    (CLIPViT, dict(GOLDEN_ARCH, ref_feat_shape=None), 'ref_feat_shape'),
    (CLIPViT, dict(img_size=32, embed_dim=48, depth=1, num_heads=3, num_classes=0), 'expected a CLIP tower'),
])
def test_bad_arch(tower, arch, expected):
    with pytest.raises((ValueError, TypeError), match=expected), torch.device('meta'):
        tower(arch)
