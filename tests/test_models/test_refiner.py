import math

import pytest
import torch

from rsc_mm.models import EVACLIPViT, Refiner
from rsc_mm.models.backbones.blocks import run_block
from rsc_mm.utils.regions import region_tokens
from tests.test_utils.test_regions import slow_roi
from tests.towers import randomize, tiny_eva, tiny_vit

EACH_TOWER = pytest.mark.parametrize('build', [tiny_eva, tiny_vit])
EACH_READOUT = pytest.mark.parametrize('readout', ['value', 'vanilla'])
# Maps of 3 x 4 cells of 16 px; boxes off the cells, on them, and of one cell.
BOXES = [torch.tensor([[3., 5., 40., 47.], [16., 0., 48., 48.]]), torch.tensor([[32., 16., 48., 32.]])]
VARIANTS = {
    'default': {},
    'random': dict(init='random'),
    'exogenous': dict(init='exogenous'),
    'pacl': dict(init='pacl'),
    'late': dict(late=True),
    'late pacl': dict(late=True, init='pacl'),
    'no FC_inter': dict(inter_layers=None),
    'no FC_CLS': dict(region_token=False),
    'neither': dict(inter_layers=None, region_token=False),
    'one block': dict(num_blocks=1),
    'three blocks': dict(num_blocks=3, inter_layers=(1, 1)),
}
EACH_VARIANT = pytest.mark.parametrize('fields', VARIANTS.values(), ids=list(VARIANTS))


def refiner_of(tower: torch.nn.Module, seed: int | None = None, **fields: object) -> Refiner:
    """A Refiner of two blocks as stage 1 starts it; with a seed all its own weights are random."""
    refiner = Refiner(tower, **{'num_blocks': 2, 'inter_layers': (1, 2), 'hidden_dims': 32, **fields})
    refiner.init_weights(tower)
    if seed is not None:
        randomize(refiner, seed)
        refiner.norm.load_state_dict(tower.vit.norm.state_dict())
        refiner.head.load_state_dict(tower.vit.head.state_dict())
    return refiner


def images(count: int = 2, height: int = 48, width: int = 64) -> torch.Tensor:
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(0))


def trained(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


@pytest.mark.parametrize('arch, num_blocks, inter_layers, layers, counts', [
    ('eva02_base_patch16_clip_224', 4, (4, 7), (3, 6, 7), (27_194_624, 9_442_048, 6_296_320, 42_932_992)),
    ('eva02_large_patch14_clip_336', 6, (9, 14), (8, 13, 17), (73_513_968, 12_588_032, 8_393_728, 94_495_728)),
])
def test_counts_and_layers_of_the_published_towers(arch, num_blocks, inter_layers, layers, counts):
    with torch.device('meta'):
        tower = EVACLIPViT(arch)
        refiner = Refiner(tower, num_blocks, inter_layers)
    parts = (refiner.blocks, refiner.fc_inter, refiner.fc_cls, refiner)
    assert tuple(trained(part) for part in parts) == counts
    assert all(f'{count:,}' in Refiner.__doc__ for count in counts)
    assert refiner.layers == layers and [refiner.layers[i] + 1 for i in refiner.inter] == list(inter_layers)
    width, depth = tower.width, tower.depth
    assert counts[1] == 2 * width * 4096 + 4096 + 4096 * width + width
    assert counts[2] == width * 4096 + 4096 + 4096 * width + width
    blocks = sum(p.numel() for p in tower.vit.blocks[depth - num_blocks:].parameters())
    unused = 2 * width**2 + width  # the last block's query, and its key, which has no bias
    assert counts[0] == blocks - unused


@pytest.mark.parametrize('fields, layers', [
    ({}, (0, 1)), (dict(inter_layers=(1, 1)), (0, 1)), (dict(inter_layers=None), (1, )),
    (dict(num_blocks=1), (0, 1, 2)), (dict(num_blocks=3, inter_layers=(1, 1)), (0, )), (dict(init='random'), (0, 1)),
    (dict(init='exogenous'), (0, 1, 3)), (dict(init='exogenous', inter_layers=(2, 4)), (1, 3)),
    (dict(init='pacl'), (3, )), (dict(late=True), (0, 1)),
])
def test_layers(fields, layers):
    assert refiner_of(tiny_eva(), **fields).layers == layers


@torch.no_grad()
@EACH_TOWER
@EACH_READOUT
def test_the_whole_image_with_its_class_token_is_the_tower(build, readout):
    class Given(torch.nn.Module):
        def forward(self, region: torch.Tensor) -> torch.Tensor:
            return tokens[:, 0]

    # FC_inter starts at 0, and the region grid is the tower's own.
    tower, x = build(readout=readout), images()
    refiner = refiner_of(tower)
    tokens, rope, _ = tower._embed(x)
    for block in tower.vit.blocks[:2]:
        tokens = run_block(block, tokens, rope)
    refiner.fc_cls = Given()
    refined = refiner(tower.intermediates(x, refiner.layers), [torch.tensor([[0., 0., 64., 48.]])] * 2, (3, 4))
    dense = tower.encode_dense(x, normalize=False).flatten(2).transpose(1, 2)
    assert torch.allclose(refined, dense, atol=1e-5)


def slow_mlp(layers: torch.nn.Sequential, x: torch.Tensor) -> torch.Tensor:
    hidden = layers[0].weight @ x + layers[0].bias
    hidden = hidden * 0.5 * (1 + torch.erf(hidden / math.sqrt(2)))
    return layers[2].weight @ hidden + layers[2].bias


def slow_refine(refiner: Refiner, tower: torch.nn.Module, x: torch.Tensor, box: list[float],
                size: tuple[int, int]) -> torch.Tensor:
    """One region of one image (3, H, W), cell by cell, through timm's blocks."""
    vit, early = tower.vit, tower.depth - len(refiner.blocks)
    tokens, rope, (h, w) = tower._embed(x[None])
    layers = {}
    for i in range(early):
        tokens = run_block(vit.blocks[i], tokens, rope)
        layers[i + 1] = tokens[0, 1:].reshape(h, w, -1)
    plain = summed = layers[early].clone()
    if refiner.fc_inter is not None:
        summed = torch.stack([torch.stack([plain[i, j] + slow_mlp(refiner.fc_inter, torch.cat(
            [layers[1][i, j], layers[2][i, j]])) for j in range(w)]) for i in range(h)])
    x1, y1, x2, y2 = (side / 16 for side in box)
    dy, dx = (y2 - y1) / size[0], (x2 - x1) / size[1]
    cells = [slow_roi(summed.permute(2, 0, 1), (x1 + j * dx, y1 + i * dy, x1 + (j + 1) * dx, y1 + (i + 1) * dy))
             for i in range(size[0]) for j in range(size[1])]
    region = slow_roi(plain.permute(2, 0, 1), (x1, y1, x2, y2))
    region = region if refiner.fc_cls is None else slow_mlp(refiner.fc_cls, region)
    y = torch.stack([region, *cells])[None]
    rope = None if rope is None else vit.rope.get_embed(shape=size)
    for block in refiner.blocks[:-1]:
        y = run_block(block, y, rope)
    block = refiner.blocks[-1]
    if tower.readout_config == 'vanilla':
        y = run_block(block, y, rope)
    else:
        to_value = block.attn.qkv.v if rope is None else block.attn.v_proj
        y = y + block.attn.proj(block.attn.norm(to_value(block.norm1(y))))
        y = y + block.mlp(block.norm2(y))
    return vit.head(vit.norm(y))[0, 1:]


@torch.no_grad()
@EACH_TOWER
@EACH_READOUT
@pytest.mark.parametrize('fields', [{}, dict(init='random'), dict(inter_layers=None, region_token=False),
                                    dict(num_blocks=1)], ids=str)
@pytest.mark.parametrize('size', [3, (2, 4)])
def test_regions_against_a_slow_version(build, readout, fields, size):
    tower, x = build(readout=readout).double(), images().double()
    refiner = refiner_of(tower, seed=7, **fields).double()
    refined = refiner(tower.intermediates(x, refiner.layers), [box.double() for box in BOXES], size)
    rows, columns = (size, size) if isinstance(size, int) else size
    expected = [slow_refine(refiner, tower, image, box, (rows, columns))
                for image, group in zip(x, BOXES) for box in group.tolist()]
    assert refined.shape == (3, rows * columns, 24)
    assert torch.allclose(refined, torch.stack(expected), atol=1e-5)


@torch.no_grad()
@EACH_TOWER
def test_late_is_the_refined_map_roi_aligned(build):
    tower, x = build().double(), images().double()
    refiner = refiner_of(tower, seed=7, late=True).double()
    maps = tower.intermediates(x, refiner.layers)
    whole = torch.stack([slow_refine(refiner, tower, image, [0, 0, 64, 48], (3, 4)) for image in x])  # (B, N, D)
    expected = region_tokens(whole.transpose(1, 2).unflatten(2, (3, 4)), BOXES, 16, 2)
    assert torch.allclose(refiner(maps, BOXES, 2), expected, atol=1e-5)


@torch.no_grad()
@EACH_TOWER
def test_exogenous_blocks_follow_the_whole_tower(build):
    tower, x = build(readout='vanilla'), images(2, 64, 64)
    refiner = refiner_of(tower, seed=7, init='exogenous', inter_layers=None)
    maps = tower.intermediates(x, refiner.layers)
    tokens = maps[-1].flatten(2).transpose(1, 2)  # (B, N, C)
    assert torch.allclose(tower.vit.norm(tokens), tower.vit.forward_features(x)[:, 1:], atol=1e-5)  # timm's own way
    rope = dict(rope=tower.vit.rope.get_embed(shape=(4, 4))) if build is tiny_eva else {}
    y = torch.cat([refiner.fc_cls(tokens.mean(1))[:, None], tokens], dim=1)  # (B, 1+N, C)
    for block in refiner.blocks:
        y = block(y, **rope)
    refined = refiner(maps, [torch.tensor([[0., 0., 64., 64.]])] * 2, 4)
    assert torch.allclose(refined, tower.vit.head(tower.vit.norm(y))[:, 1:], atol=1e-4)


@torch.no_grad()
def test_pacl_embeds_each_token_of_the_tower_alone():
    tower, x = tiny_eva(), images()
    refiner = refiner_of(tower, seed=7, init='pacl')
    maps = tower.intermediates(x, refiner.layers)
    refined = refiner(maps, [torch.tensor([[0., 0., 64., 48.]])] * 2, (3, 4))
    first, linear = refiner.embedder.main, refiner.embedder.residual
    for i, j in ((0, 0), (2, 1)):
        z = maps[0][1, :, i, j]
        z = first(z) + linear[2](linear[0](z).clamp(min=0))
        assert torch.allclose(refined[1, 4 * i + j], tower.vit.head(tower.vit.norm(z)), atol=1e-5)


@EACH_VARIANT
@EACH_TOWER
@EACH_READOUT
def test_every_trained_parameter_gets_a_gradient(fields, build, readout):
    tower = build(readout=readout).freeze()
    refiner = refiner_of(tower, seed=7, **fields)
    refined = refiner(tower.intermediates(images(), refiner.layers), BOXES, (2, 3))
    assert refined.shape == (3, 6, 24)
    refined.square().sum().backward()
    for name, parameter in refiner.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None and parameter.grad.any(), name
        else:
            assert parameter.grad is None, name
    frozen = {name.split('.')[0] for name, p in refiner.named_parameters() if not p.requires_grad}
    assert {'norm', 'head'} <= frozen
    assert all(p.grad is None for p in tower.parameters())


@EACH_VARIANT
@pytest.mark.parametrize('count', [0, 2])
def test_no_region_and_no_image_give_zero_gradients(fields, count):
    tower = tiny_eva().freeze()
    refiner = refiner_of(tower, seed=7, **fields)
    refined = refiner(tower.intermediates(images(count), refiner.layers), [torch.zeros(0, 4)] * count, 3)
    refined.sum().backward()
    assert refined.shape == (0, 9, 24)
    assert all(p.grad is not None and not p.grad.any() for p in refiner.parameters() if p.requires_grad)


@torch.no_grad()
@EACH_TOWER
def test_pixels_outside_the_box_have_no_say(build):
    tower, x = build(), images()
    refiner = refiner_of(tower, seed=7)
    maps = tower.intermediates(x, refiner.layers)
    # A box of 2 x 2 cells at its own grid reads these cells only; another grid interpolates the cells around it too.
    for size, box, margin in ((2, (16., 0., 48., 32.), 0), (3, (20., 3., 28., 12.), 1)):
        inside = torch.zeros(3, 4, dtype=torch.bool)
        inside[:2, 1 - margin:3] = True
        other = tuple(torch.where(inside, m, torch.randn_like(m)) for m in maps)
        boxes = [torch.tensor([box])] * 2
        assert torch.equal(refiner(maps, boxes, size), refiner(other, boxes, size))
        refiner.late = True
        assert not torch.allclose(refiner(maps, boxes, size), refiner(other, boxes, size), atol=1e-3)
        refiner.late = False


@torch.no_grad()
@EACH_TOWER
def test_what_each_init_starts_from(build):
    tower = build()
    own, random = refiner_of(tower), refiner_of(tower, init='random')
    originals = list(tower.vit.blocks[2:].parameters())
    assert all(torch.equal(p, q) for p, q in zip(own.blocks.parameters(), originals, strict=True))
    for (name, p), q in zip(random.blocks.named_parameters(), originals, strict=True):
        assert not torch.equal(p, q), name
        if p.ndim > 1:
            assert p.std().item() == pytest.approx(0.02, rel=0.1), name
        else:
            assert torch.equal(p, torch.full_like(p, 'norm' in name and name.endswith('weight'))), name
    for refiner in (own, random):
        assert not any(value.any() for value in refiner.fc_inter[-1].state_dict().values())
        assert refiner.fc_cls[-1].weight.any()
        for part in ('norm', 'head'):
            theirs = getattr(tower.vit, part).state_dict()
            assert all(torch.equal(value, theirs[key]) for key, value in getattr(refiner, part).state_dict().items())
    own.blocks[0].norm1.weight.add_(1)
    assert torch.equal(originals[0], next(iter(tower.vit.blocks[2].parameters()))), 'the tower shares its weights'


def test_it_takes_the_weights_that_the_tower_has_when_told_to():
    tower, other = tiny_eva(), tiny_eva(seed=1)
    refiner = Refiner(tower, 2, (1, 2), 32)
    refiner.init_weights(other)
    assert torch.equal(refiner.blocks[1].mlp.fc2.weight, other.vit.blocks[3].mlp.fc2.weight)
    assert torch.equal(refiner.head.weight, other.vit.head.weight)


@EACH_VARIANT
def test_activation_checkpointing_changes_no_gradient(fields):
    tower, gradients = tiny_eva().freeze(), []
    for with_cp in (False, True):
        refiner = refiner_of(tower, seed=7, with_cp=with_cp, **fields).train()
        refiner(tower.intermediates(images(), refiner.layers), BOXES, 3)[..., 0].sum().backward()
        gradients.append({name: p.grad for name, p in refiner.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys() and gradients[0]
    assert all(torch.allclose(g, gradients[1][name], atol=1e-6) for name, g in gradients[0].items())


def test_a_frozen_refiner_stays_in_eval_mode():
    refiner = refiner_of(tiny_eva())
    assert refiner.train().training
    refiner.requires_grad_(False)
    assert not refiner.train().training and not refiner.blocks.training


def test_finite_under_autocast():
    tower = tiny_eva().freeze()
    refiner = refiner_of(tower, seed=7)
    with torch.autocast('cpu', torch.bfloat16):
        refined = refiner(tower.intermediates(images(), refiner.layers), BOXES, 3)
    refined.float().square().mean().backward()
    expected = refiner(tower.intermediates(images(), refiner.layers), BOXES, 3)
    assert (refined - expected).abs().max() < 0.1 * expected.abs().max()
    assert all(p.grad.isfinite().all() for p in refiner.parameters() if p.requires_grad)


@pytest.mark.parametrize('fields, expected', [
    (dict(init='first_blocks'), r"'init': found 'first_blocks', expected one of \['exogenous', 'last_blocks', 'pacl'"),
    (dict(num_blocks=0), "'num_blocks': found 0, expected 1 to 3 for a tower of 4 blocks"),
    (dict(num_blocks=4), "'num_blocks': found 4, expected 1 to 3"),
    (dict(inter_layers=(0, 2)), r"'inter_layers': found \(0, 2\), expected None or two layers in 1..2"),
    (dict(inter_layers=(2, 3)), r"'inter_layers': found \(2, 3\), expected None or two layers in 1..2"),
    (dict(inter_layers=(1, )), r"'inter_layers': found \(1,\)"),
    (dict(init='exogenous', inter_layers=(2, 5)), r'expected None or two layers in 1..4'),
])
def test_bad_fields(fields, expected):
    with pytest.raises(ValueError, match=expected):
        refiner_of(tiny_eva(), **fields)
