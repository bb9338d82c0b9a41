import math

import pytest
import torch
from torch.nn import functional as F

from rsc_mm.models import EVACLIPViT
from rsc_mm.models.backbones.blocks import projections, queries, values
from rsc_mm.utils.checkpoint import load_clip_checkpoint
from tests.towers import GOLDEN_ARCH, golden, tiny_eva, tiny_vit

TOWERS = [tiny_eva, tiny_vit]
EACH_TOWER = pytest.mark.parametrize('build', TOWERS)
NAMES = ['qq', 'kk', 'vv', 'csa', 'all']
READOUTS = [*NAMES, dict(type='qq', scaled=True), dict(type='csa', scaled=True), dict(type='all', scaled=True), 'hsg',
            dict(type='hsg', project='once'), dict(type='hsg', num_layers=1), 'hsg_ffn', 'values', 'values_qq']
EACH_READOUT = pytest.mark.parametrize('readout', READOUTS, ids=str)


def image(height: int = 48, width: int = 80, count: int = 1) -> torch.Tensor:
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
@pytest.mark.parametrize('name', ['value', 'qq', 'kk', 'csa'])
def test_golden_parity(name):
    tower, io = EVACLIPViT(GOLDEN_ARCH, readout=name).eval(), golden('io/')
    load_clip_checkpoint(tower, golden('sd/'))
    content, context = tower.encode_content_and_context(io['dense_input'])
    if name == 'value':
        assert (F.normalize(content, dim=1) - io['dense_value']).abs().max() < 1e-5
    else:
        assert (content - io[f'declip_{name}_content']).abs().max() < 1e-5
    if name == 'qq':
        heads = context.flatten(2).unflatten(1, (3, 16)).transpose(2, 3).flatten(0, 1)  # (B*heads, N, c)
        assert (heads - io['declip_qq_context_per_head']).abs().max() < 1e-5


def inputs_of(tower: EVACLIPViT, x: torch.Tensor, count: int) -> list[torch.Tensor]:
    """The tokens of one image (1+N, C) before the last blocks."""
    tokens, _, _ = tower._tokens(x, set(range(tower.depth - count, tower.depth)))
    return [value[0] for value in tokens.values()]


def head_parts(tower: EVACLIPViT, x: torch.Tensor) -> list[dict[str, torch.Tensor]]:
    """Query, key and value of every head (1+N, c)."""
    block = tower.vit.blocks[-1]
    outputs = [layer(block.norm1(x)) for layer in projections(block.attn)]
    return [{name: y[:, 16 * h:16 * h + 16] for name, y in zip('qkv', outputs)} for h in range(3)]


def slow_attention(readout: dict, parts: dict[str, torch.Tensor]) -> torch.Tensor:
    """The attended values of one head, row by row."""
    used = {'qq': 'q', 'kk': 'k', 'vv': 'v', 'csa': 'qk', 'all': 'qkv'}[readout['type']]
    scale = 0.25 if readout.get('scaled') else 1.  # 1 / sqrt(16)
    rows = []
    for i in range(len(parts['v'])):
        logits = [torch.stack([parts[name][i] @ other for other in parts[name]]) * scale for name in used]
        if readout['type'] == 'all':
            weights = (sum(logits) / 3).softmax(0)
        else:
            weights = sum(row.softmax(0) for row in logits)
        rows.append(sum(w * v for w, v in zip(weights, parts['v'])))
    return torch.stack(rows)


@torch.no_grad()
@EACH_TOWER
@pytest.mark.parametrize('readout', [r for r in READOUTS if 'hsg' not in str(r) and 'values' not in r], ids=str)
def test_self_attention_on_a_rectangle_against_a_slow_version(build, readout):
    tower, x = build(readout=readout).double(), image().double()
    config = readout if isinstance(readout, dict) else dict(type=readout)
    tokens, = inputs_of(tower, x, 1)
    block = tower.vit.blocks[-1]
    y = torch.cat([slow_attention(config, parts) for parts in head_parts(tower, tokens)], dim=1)
    y = tower.vit.head(tower.vit.norm(block.attn.proj(block.attn.norm(y))))[1:]
    content, _ = tower.encode_content_and_context(x)
    assert torch.allclose(content[0].flatten(1).T, y, atol=1e-8)
    assert torch.allclose(tower.encode_dense(x), F.normalize(content, dim=1).float(), atol=1e-6)


@torch.no_grad()
@EACH_TOWER
@pytest.mark.parametrize('name, used', [('qq', 'q'), ('kk', 'k'), ('vv', 'v'), ('csa', 'qk'), ('all', 'qkv')])
def test_cosines_of_the_context_are_the_means_over_the_projections(build, name, used):
    """Also with more than one image: the heads are merged first."""
    tower, x = build(readout=name).double(), image(count=2).double()
    _, context = tower.encode_content_and_context(x)
    unit = F.normalize(context.flatten(2), dim=1)
    for i in range(2):
        tokens, = inputs_of(tower, x[i:i + 1], 1)
        block = tower.vit.blocks[-1]
        outputs = dict(zip('qkv', (layer(block.norm1(tokens))[1:] for layer in projections(block.attn))))
        cosines = sum(F.normalize(outputs[p], dim=1) @ F.normalize(outputs[p], dim=1).T for p in used) / len(used)
        assert torch.allclose(unit[i].T @ unit[i], cosines, atol=1e-6)


@torch.no_grad()
@EACH_TOWER
@pytest.mark.parametrize('fields', [{}, dict(project='once'), dict(num_layers=1), dict(num_layers=4)], ids=str)
def test_hsg_on_a_rectangle_against_a_slow_version(build, fields):
    tower, x = build(readout=dict(type='hsg', **fields)).double(), image().double()
    count = fields.get('num_layers', 3)
    summed, projected = 0, 0
    for block, tokens in zip(tower.vit.blocks[-count:], inputs_of(tower, x, count)):
        normed = block.norm1(tokens[1:])
        value = values(block.attn, normed)
        gated = torch.empty_like(value)
        for n in range(len(value)):
            for head in range(3):
                gate = 1 / (1 + math.exp(-(tower.readout.gate.weight[head] @ normed[n]).item()))
                gated[n, 16 * head:16 * head + 16] = gate * value[n, 16 * head:16 * head + 16]
        summed = summed + gated
        projected = projected + block.attn.proj(block.attn.norm(gated))
    if fields.get('project') == 'once':
        projected = block.attn.proj(block.attn.norm(summed))
    expected = tower.vit.head(tower.vit.norm(projected))
    content, context = tower.encode_content_and_context(x)
    assert torch.allclose(content[0].flatten(1).T, expected, atol=1e-8)
    assert context is content


@torch.no_grad()
@EACH_TOWER
@pytest.mark.parametrize('name', ['values', 'values_qq'])
@pytest.mark.parametrize('count', [1, 3])
def test_values_of_the_last_layers_against_a_slow_version(build, name, count):
    tower, x = build(readout=dict(type=name, num_layers=count)).double(), image().double()
    summed = 0
    for block, tokens in zip(tower.vit.blocks[-count:], inputs_of(tower, x, count)):
        normed = block.norm1(tokens)
        query, value = queries(block.attn, normed), values(block.attn, normed)
        attended = value.clone()
        for head in [slice(16 * h, 16 * h + 16) for h in range(3 if name == 'values_qq' else 0)]:
            for i in range(len(value)):
                weights = torch.stack([query[i, head] @ other for other in query[:, head]]).softmax(0)
                attended[i, head] = sum(w * v for w, v in zip(weights, value[:, head]))
        summed = summed + block.attn.proj(block.attn.norm(attended))[1:]
    content, context = tower.encode_content_and_context(x)
    assert torch.allclose(content[0].flatten(1).T, tower.vit.head(tower.vit.norm(summed)), atol=1e-8)
    assert context is content


@torch.no_grad()
def test_values_are_hsg_with_equal_gates():
    """Gates of one half shrink the values of every head alike, which the norm inside EVA's attention undoes."""
    gated, plain = (tiny_eva(readout=name) for name in ('hsg', 'values'))
    gated.readout.gate.weight.zero_()
    assert torch.allclose(gated.encode_dense(image()), plain.encode_dense(image()), atol=1e-3)


@torch.no_grad()
@EACH_TOWER
def test_hsg_with_the_feed_forward_part(build):
    plain, tower = build(readout='hsg'), build(readout='hsg_ffn')
    seen = []
    tower.vit.norm.register_forward_pre_hook(lambda module, x: seen.append(x[0]))
    plain.vit.norm.register_forward_pre_hook(lambda module, x: seen.append(x[0]))
    plain.encode_dense(image()), tower.encode_dense(image())
    x, block = seen[0], tower.vit.blocks[-1]
    assert torch.allclose(seen[1], x + block.mlp(block.norm2(x)), atol=1e-6)


@torch.no_grad()
def test_values_of_a_fused_projection():
    attn, x = tiny_vit().vit.blocks[0].attn, torch.randn(2, 5, 48)
    assert torch.allclose(values(attn, x), attn.qkv(x)[..., 96:], atol=1e-6)
    assert torch.allclose(queries(attn, x), attn.qkv(x)[..., :48], atol=1e-6)


@pytest.mark.parametrize('arch, parameters', [('eva02_base_patch16_clip_224', 9_216),
                                              ('eva02_large_patch14_clip_336', 16_384)])
def test_parameters_of_hsg(arch, parameters):
    with torch.device('meta'):
        tower = EVACLIPViT(arch, readout='hsg')
    assert [p.numel() for p in tower.readout.parameters()] == [parameters]
    assert {name for name in tower.state_dict() if not name.startswith('vit.')} == {'readout.gate.weight'}


def test_hsg_starts_with_equal_gates():
    torch.manual_seed(0)
    assert not EVACLIPViT(GOLDEN_ARCH, readout='hsg').readout.gate.weight.any()


@EACH_TOWER
@EACH_READOUT
def test_every_trainable_parameter_gets_a_gradient(build, readout):
    tower = build(readout=readout)
    content, context = tower.encode_content_and_context(image())
    (content[:, 0].sum() + context.square().mean()).backward()
    for name, p in tower.named_parameters():
        assert (p.grad is not None) == p.requires_grad, name
        # a key bias of an unchanged block shifts all logits of a row alike
        assert not p.requires_grad or p.grad.any() or name.endswith('.k.bias'), name


@EACH_TOWER
@EACH_READOUT
def test_content_alone_reaches_every_trainable_parameter(build, readout):
    tower = build(readout=readout)
    tower.encode_dense(image())[:, 0].sum().backward()
    assert all((p.grad is not None) == p.requires_grad for p in tower.parameters())


@pytest.mark.parametrize('readout, frozen', [
    ('qq', {'k_proj', 'norm2', 'mlp'}), ('kk', {'q_proj', 'norm2', 'mlp'}), ('csa', {'norm2', 'mlp'}),
    ('vv', {'q_proj', 'k_proj', 'norm2', 'mlp'}), ('all', {'norm2', 'mlp'}),
    ('hsg', {'q_proj', 'k_proj', 'norm2', 'mlp'}), ('hsg_ffn', {'q_proj', 'k_proj'}),
    ('values', {'q_proj', 'k_proj', 'norm2', 'mlp'}), ('values_qq', {'k_proj', 'norm2', 'mlp'})])
def test_what_is_frozen_of_the_last_block(readout, frozen):
    block = tiny_eva(readout=readout).vit.blocks[-1]
    names = {name.removeprefix('attn.').split('.')[0] for name, p in block.named_parameters() if not p.requires_grad}
    assert names == frozen
    assert all(p.requires_grad for other in tiny_eva(readout=readout).vit.blocks[:-1] for p in other.parameters())


@EACH_TOWER
@EACH_READOUT
def test_bfloat16_autocast(build, readout):
    tower, x = build(readout=readout), image()
    with torch.autocast('cpu', torch.bfloat16):
        dense = tower.encode_dense(x)
    assert dense.dtype == torch.float32 and dense.isfinite().all()
    cosine = F.cosine_similarity(dense, tower.encode_dense(x), dim=1)
    assert cosine.mean() > 0.98
    dense[:, 0].sum().backward()
    assert all(p.grad.isfinite().all() for p in tower.parameters() if p.grad is not None)


@EACH_READOUT
def test_activation_checkpointing_changes_no_gradient(readout):
    gradients = []
    for with_cp in (False, True):
        tower = tiny_eva(readout=readout, with_cp=with_cp).train()
        tower.encode_dense(image())[:, 0].sum().backward()
        gradients.append({n: p.grad for n, p in tower.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    assert all(torch.allclose(g, gradients[1][n], atol=1e-6) for n, g in gradients[0].items())


@pytest.mark.parametrize('readout, expected', [
    (dict(type='hsg', num_layers=5), 'reads the last 5 blocks, expected at most 4'),
    (dict(type='hsg', num_layers=0), 'found num_layers=0'),
    (dict(type='hsg', project='twice'), r"project='twice', expected one of \('per_layer', 'once'\)"),
    (dict(type='values', num_layers=0), "'readout': found num_layers=0, expected at least 1"),
    (dict(type='hsg', scaled=True), r"found \['scaled'\] .* \['num_layers', 'project'\]"),
])
def test_bad_fields(readout, expected):
    with pytest.raises(ValueError, match=expected):
        tiny_eva(readout=readout)
