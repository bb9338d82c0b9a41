import math

import numpy as np
import pytest
import torch
from mmengine.logging import MessageHub
from torch.nn import functional as F

from rsc_mm.models.backbones.readouts import DenseTokens
from rsc_mm.models.distillers.constraints import (
    AttentionCorrelation,
    DenseContrast,
    EMATower,
    MaskedModelling,
    encode_maps,
    masking,
)
from rsc_mm.models.distillers.constraints.masking import hide, random_patches
from rsc_mm.utils.regions import region_tokens
from tests.test_models.test_distillers import batch
from tests.towers import randomize, tiny_eva, tiny_vit


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.mark.parametrize('tower', [tiny_eva, tiny_vit])
@pytest.mark.parametrize('readout', ['value', 'vanilla'])
def test_values_are_those_of_the_last_block(tower, readout):
    tower, images = tower(readout=readout), torch.randn(2, 3, 50, 64)
    maps = encode_maps(tower, images)
    assert torch.equal(maps.dense, tower.encode_dense(images))
    tokens = tower._tokens(images, {tower.depth - 1})[0][tower.depth - 1]
    attn = tower.vit.blocks[-1].attn
    layer = attn.v_proj if hasattr(attn, 'v_proj') else attn.qkv.v
    values = F.linear(tower.vit.blocks[-1].norm1(tokens), layer.weight, layer.bias)  # (B, 1+N, C)
    for i, (y, x) in enumerate(np.ndindex(4, 4)):
        assert torch.allclose(maps.values[:, :, y, x], values[:, 1 + i], atol=1e-6)
    assert not layer._forward_hooks


def test_values_without_an_image():
    maps = encode_maps(tiny_eva(), torch.zeros(0, 3, 48, 64))
    assert maps.dense.shape == (0, 24, 1, 1) and maps.values.shape == (0, 48, 1, 1)


def test_a_readout_without_values_is_refused():
    tower = tiny_eva()
    tower.readout.forward = lambda blocks, inputs, rope: DenseTokens(inputs[-1][:, 1:])
    with pytest.raises(ValueError, match="field 'readout': found 'value', which computes no values"):
        encode_maps(tower, torch.randn(1, 3, 32, 32))


def slow_scd(student: torch.Tensor, target: torch.Tensor, tau: float = 0.2) -> float:
    total = 0.
    for zs, zt in zip(student, target):
        for i in range(len(zs)):
            s = torch.stack([F.cosine_similarity(zs[i], z, dim=0) for z in zs]) / tau
            t = torch.stack([F.cosine_similarity(zt[i], z, dim=0) for z in zt]) / tau
            total -= sum(p * (q / s.exp().sum()).log() for p, q in zip(t.exp() / t.exp().sum(), s.exp()))
    return total.item() / student.shape[0] / student.shape[1]


def test_attention_correlation_against_a_slow_version():
    student, teacher = tiny_eva(seed=1).double(), tiny_eva(seed=0).double().freeze()
    data = batch()
    images, boxes = data['images'].double(), [box.double() for box in data['boxes']]
    constraint = AttentionCorrelation(student, dict(type='SCDLoss', loss_weight=0.3, region_size=2))
    loss = constraint(student, teacher, images, encode_maps(student, images), boxes, None)
    tokens = [region_tokens(encode_maps(tower, images).values, boxes, 16, 2) for tower in (student, teacher)]
    assert loss.item() == pytest.approx(0.3 * slow_scd(*tokens), abs=1e-9)


def test_contrast_by_hand():
    # Region 1: its token e1 matches e1 (cosine 1); region 2's crop pools to e2 (cosine 0): ln(1 + e^-1).
    # Region 2: its token (3, 4) matches e2 (cosine 0.8); region 1's crop pools to (1, 1) / sqrt 2 (cosine 0.989949).
    queries = torch.tensor([[[2., 0.]], [[3., 4.]]])
    keys = torch.tensor([[[0., 1.], [1., 0.]], [[0., 5.], [0., 7.]]])
    values = DenseContrast(tiny_eva(), temperature=1.).contrast(queries, keys)
    assert values[0].item() == pytest.approx(math.log(1 + math.exp(-1)), abs=1e-6)
    assert values[1].item() == pytest.approx(math.log(1 + math.exp(0.7 * 2 ** 0.5 - 0.8)), abs=1e-6)


def test_contrast_against_a_slow_version():
    queries = torch.randn(4, 5, 6, dtype=torch.float64)
    keys = torch.randn(4, 7, 6, dtype=torch.float64)
    units = [[u / u.norm() for u in crop] for crop in keys]
    pooled = [sum(crop) / sum(crop).norm() for crop in units]
    for k, value in enumerate(DenseContrast(tiny_eva()).contrast(queries, keys)):
        slow = 0.
        for z in queries[k]:
            z = z / z.norm()
            positive = max((z @ u).item() for u in units[k]) / 0.2
            negatives = [(z @ pooled[j]).item() / 0.2 for j in range(4) if j != k]
            slow -= positive - math.log(sum(map(math.exp, [positive, *negatives])))
        assert value.item() == pytest.approx(slow / 5, abs=1e-9)


def test_contrast_properties():
    contrast = DenseContrast(tiny_eva()).contrast
    queries, keys = torch.randn(3, 4, 6, dtype=torch.float64), torch.randn(3, 5, 6, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda z: contrast(z, keys), queries.requires_grad_())
    assert torch.allclose(contrast(3 * queries, keys / 7), contrast(queries, keys), atol=1e-12)
    assert contrast(keys, keys).mean() < contrast(keys.roll(1, 0), keys).mean() - 0.5
    assert torch.equal(contrast(queries[:1], keys[:1]), torch.zeros(1)), 'one region has no negative'


def test_dense_contrast_compares_regions_with_their_crops():
    student, data = tiny_eva(seed=1), batch()
    constraint = DenseContrast(tiny_eva(), region_size=2, loss_weight=0.3)
    loss = constraint(student, None, data['images'], encode_maps(student, data['images']), data['boxes'],
                      data['crops'])
    queries = region_tokens(student.encode_dense(data['images']), data['boxes'], 16, 2)
    keys = student.encode_dense(data['crops']).flatten(2).transpose(1, 2)  # the first call copies the student
    assert loss.item() == pytest.approx(0.3 * constraint.contrast(queries, keys).mean().item(), abs=1e-6)


def test_dense_contrast_needs_crops():
    data = batch()
    with pytest.raises(ValueError, match="found no crops.*'crop_size'"):
        DenseContrast(tiny_eva())(tiny_eva(), None, data['images'], None, data['boxes'], None)


def draw(monkeypatch: pytest.MonkeyPatch, seed: int, iteration: int, rank: int = 0, images: int = 3) -> torch.Tensor:
    """6 of 20 patches in each image."""
    info = {'seed': seed, 'iter': iteration}
    monkeypatch.setattr(MessageHub.get_current_instance(), 'get_info', lambda key, default: info[key])
    monkeypatch.setattr(masking, 'get_rank', lambda: rank)
    return random_patches(images, 20, 0.3)


def test_masks_depend_on_seed_iteration_and_image_only(monkeypatch):
    first = draw(monkeypatch, 1, 7)
    assert first.shape == (3, 6) and 0 <= first.min() and first.max() < 20
    assert all(len(set(row)) == 6 for row in first.tolist())
    assert len({tuple(row) for row in first.tolist()}) == 3
    assert torch.equal(first, draw(monkeypatch, 1, 7))
    assert not torch.equal(first, draw(monkeypatch, 2, 7)) and not torch.equal(first, draw(monkeypatch, 1, 8))
    second = draw(monkeypatch, 1, 7, rank=1)
    assert torch.equal(torch.cat([first, second]), draw(monkeypatch, 1, 7, images=6))


def test_every_mask_has_at_least_one_patch():
    assert random_patches(2, 1, 0.3).tolist() == [[0], [0]]
    assert random_patches(0, 4, 0.3).shape == (0, 1)


def test_hidden_patches_are_the_mean_colour():
    images = torch.ones(2, 3, 4, 5)  # patches of 2: a grid of 2 x 3, the last column half outside
    hidden = hide(images, torch.tensor([[0, 5], [1, 2]]), 2)
    assert hidden[0, 2].tolist() == [[0, 0, 1, 1, 1]] * 2 + [[1, 1, 1, 1, 0]] * 2
    assert hidden[1, 0].tolist() == [[1, 1, 0, 0, 0]] * 2 + [[1, 1, 1, 1, 1]] * 2
    assert images.min() == 1
    tower = tiny_eva()
    embedded = tower.vit.patch_embed(hide(torch.randn(1, 3, 32, 32), torch.tensor([[3]]), 16))
    assert torch.allclose(embedded[0, 1, 1], tower.vit.patch_embed.proj.bias, atol=1e-6)


def masked(**fields: object) -> MaskedModelling:
    torch.manual_seed(1)
    constraint = MaskedModelling(tiny_eva(), num_prototypes=5, **fields).double()
    constraint.centre.uniform_(-0.3, 0.3)
    constraint.ema_prototypes.module.weight.data.uniform_(-1, 1)  # unlike the student's
    return constraint


def tokens(*shape: int) -> torch.Tensor:
    return F.normalize(torch.randn(*shape, dtype=torch.float64), dim=-1)


def test_masked_modelling_against_a_slow_version():
    constraint, student, target = masked(), tokens(2, 4, 24), tokens(2, 4, 24)
    patches = torch.tensor([[1, 3], [2, 0]])
    centre = constraint.centre.clone()
    values = constraint.cross_entropy(student, target, patches)
    own, ema = constraint.prototypes.weight, constraint.ema_prototypes.module.weight
    for image in range(2):
        slow = 0.
        for i in patches[image].tolist():
            t = torch.stack([p @ target[image, i] / p.norm() for p in ema])
            s = torch.stack([p @ student[image, i] / p.norm() for p in own])
            label = ((t - centre) / 0.04).exp() / ((t - centre) / 0.04).exp().sum()
            slow -= sum(label * ((s / 0.1).exp() / (s / 0.1).exp().sum()).log())
        assert values[image].item() == pytest.approx(slow.item() / 2, abs=1e-9)
    mean = torch.stack([torch.stack([p @ u / p.norm() for p in ema]) for u in target.flatten(0, 1)]).mean(0)
    assert torch.allclose(constraint.centre, 0.9 * centre + 0.1 * mean, atol=1e-12)


def test_masked_modelling_by_hand():
    # Two prototypes e1 and e2. The teacher sees e1: softmax(25, 0) = (1, 0). The student sees e2: ln(1 + e^10).
    constraint = MaskedModelling(tiny_eva(), num_prototypes=2)
    plane = torch.eye(24)[:2]
    for head in (constraint.prototypes, constraint.ema_prototypes.module):
        head.weight.data = 3 * plane
    value = constraint.cross_entropy(plane[1].expand(1, 1, 24), plane[0].expand(1, 1, 24), torch.tensor([[0]]))
    assert value.item() == pytest.approx(10 + math.log(1 + math.exp(-10)), abs=1e-5)
    assert torch.allclose(constraint.centre, torch.tensor([0.1, 0.]))


def test_masked_modelling_gradient():
    constraint, student, target = masked(centre_momentum=1.), tokens(2, 4, 24), tokens(2, 4, 24)
    patches = torch.tensor([[1, 3], [2, 0]])
    assert torch.autograd.gradcheck(lambda z: constraint.cross_entropy(z, target, patches), student.requires_grad_())
    gradient, = torch.autograd.grad(constraint.cross_entropy(student, target, patches).sum(), student)
    seen = gradient.abs().sum(2) > 0
    assert seen.tolist() == [[False, True, False, True], [True, False, True, False]], 'masked patches only'


def test_masked_modelling_of_a_batch():
    student, images = tiny_eva(seed=1), torch.randn(2, 3, 40, 64)  # 3 x 4 patches: 4 masked
    constraint = MaskedModelling(tiny_eva(), num_prototypes=5, loss_weight=0.3)
    loss = constraint(student, None, images, encode_maps(student, images), [], None)
    patches = random_patches(2, 12, 0.3)
    views = [hide(images, patches, 16), images]
    maps = [student.encode_dense(view).flatten(2).transpose(1, 2) for view in views]
    constraint.centre.zero_()
    assert loss.item() == pytest.approx(0.3 * constraint.cross_entropy(*maps, patches).mean().item(), abs=1e-6)


@pytest.mark.parametrize('fields, expected', [(dict(mask_ratio=0.), "field 'mask_ratio': found 0.0"),
                                              (dict(momentum=0.001), "field 'momentum': found 0.001"),
                                              (dict(momentum=1.), "field 'momentum': found 1.0")])
def test_bad_fields(fields, expected):
    with pytest.raises(ValueError, match=expected):
        MaskedModelling(tiny_eva(), **fields)


def test_ema_by_hand():
    student = tiny_eva()
    ema = EMATower(student, momentum=0.9)
    values = []
    for seed in (1, 2, 3):
        values.append(randomize(student, seed).vit.head.weight.detach().clone())
        ema.update_parameters(student)
    assert torch.allclose(ema.module.vit.head.weight, 0.81 * values[0] + 0.09 * values[1] + 0.1 * values[2], atol=1e-6)
    assert not ema.train().module.training and not any(p.requires_grad for p in ema.parameters())
