import copy

import pytest
import torch
from torch.nn import functional as F

from rsc_mm.datasets import RegionSample
from rsc_mm.models import RefinerTrainer
from rsc_mm.models.distillers.negatives import NEGATIVES
from tests.test_models.test_refiner_loss import slow_refiner_loss
from tests.test_utils.test_regions import slow_roi
from tests.towers import GOLDEN_ARCH, randomize

BACKBONE = dict(type='EVACLIPViT', arch=GOLDEN_ARCH)
REFINER = dict(type='Refiner', num_blocks=2, inter_layers=(1, 2), hidden_dims=16)
EACH_DIRECTION = pytest.mark.parametrize('direction', ['global_to_local', 'local_to_global'])


def trainer(direction: str = 'global_to_local', negatives: str = 'other_tokens', **fields: object) -> RefinerTrainer:
    """On a random tower, with random weights in FC_inter's last layer too."""
    torch.manual_seed(2)
    model = RefinerTrainer(BACKBONE, {**REFINER, **fields}, direction=direction, negatives=negatives)
    randomize(model.backbone, 0)
    model.init_weights()
    if model.refiner.fc_inter:
        torch.nn.init.normal_(model.refiner.fc_inter[-1].weight, std=0.1)
    return model.train()


def batch(counts: tuple[int, ...] = (3, 2), seed: int = 0) -> dict:
    """Random images with that many random square regions each, every second of which is a local crop."""
    generator = torch.Generator().manual_seed(seed)
    x1, y1, side = torch.rand(3, sum(counts), generator=generator) * torch.tensor([[28.], [12.], [16.]])
    side = side + 16
    boxes = torch.stack([x1, y1, x1 + side, y1 + side], dim=1).split(counts)
    labels = torch.randint(12, (sum(counts), ), generator=generator).split(counts)
    return dict(images=torch.randn(len(counts), 3, 48, 64, generator=generator), boxes=list(boxes),
                crops=torch.randn(sum(counts), 3, 64, 64, generator=generator),
                data_samples=[RegionSample(labels=rows, is_local=torch.arange(len(rows)) % 2 == 1) for rows in labels])


def one_by_one(data: dict) -> list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
    """(1, 3, H, W), one box (4,) and its crop (1, 3, s, s) of every region."""
    pairs = [(x[None], box) for x, boxes in zip(data['images'], data['boxes']) for box in boxes]
    return [(x, box, crop[None]) for (x, box), crop in zip(pairs, data['crops'])]


def slow_tokens(dense: torch.Tensor, box: torch.Tensor, side: int) -> torch.Tensor:
    """RoIAlign (D, h, w) -> (side^2, D), cell by cell."""
    x1, y1, x2, y2 = (box / 16).tolist()
    dx, dy = (x2 - x1) / side, (y2 - y1) / side
    return torch.stack([slow_roi(dense, (x1 + j * dx, y1 + i * dy, x1 + (j + 1) * dx, y1 + (i + 1) * dy))
                        for i in range(side) for j in range(side)])


@torch.no_grad()
@EACH_DIRECTION
def test_it_is_the_formula(direction):
    model, data = trainer(direction), batch()
    tower, refined, plain = model.backbone, [], []
    for x, box, crop in one_by_one(data):
        if direction == 'global_to_local':
            refined.append(model.refiner(tower.intermediates(x, (0, 1)), [box[None]], 4)[0])
            plain.append(torch.stack([tower.encode_dense(crop, normalize=False)[0, :, i, j]
                                      for i in range(4) for j in range(4)]))
        else:
            refined.append(model.refiner(tower.intermediates(crop, (0, 1)), [torch.tensor([[0., 0., 64., 64.]])], 4)[0])
            plain.append(slow_tokens(tower.encode_dense(x, normalize=False)[0], box, 4))
    slow = slow_refiner_loss(torch.stack(refined), torch.stack(plain), model.refiner_loss)
    losses = model(**data, mode='loss')
    assert losses.keys() == {'loss_refiner'} and losses['loss_refiner'].item() == pytest.approx(slow, abs=1e-4)


@torch.no_grad()
def test_the_directions_differ():
    data = batch()
    first, second = (trainer(d)(**data, mode='loss')['loss_refiner'] for d in ('global_to_local', 'local_to_global'))
    assert abs(first - second) > 0.01


@EACH_DIRECTION
@pytest.mark.parametrize('fields', [{}, dict(late=True), dict(init='random'), dict(init='pacl')], ids=str)
def test_a_step_lowers_the_loss_and_leaves_the_tower_alone(direction, fields):
    model, data = trainer(direction, **fields), batch()
    before, frozen = copy.deepcopy(model.backbone.state_dict()), copy.deepcopy(model.refiner.head.state_dict())
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.01)
    values = []
    for _ in range(3):
        loss = model(**data, mode='loss')['loss_refiner']
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        values.append(loss.item())
    assert values[0] > values[1] > values[2]
    assert all(p.grad is None and not p.requires_grad for p in model.backbone.parameters())
    assert all(torch.equal(value, before[key]) for key, value in model.backbone.state_dict().items())
    assert all(torch.equal(value, frozen[key]) for key, value in model.refiner.head.state_dict().items())
    assert not any(module.training for module in model.train().backbone.modules()) and model.refiner.training


@EACH_DIRECTION
def test_no_trained_parameter_is_unused(direction):
    model = trainer(direction)
    model(**batch(), mode='loss')['loss_refiner'].backward()
    assert all(p.grad is not None and p.grad.any() for p in model.parameters() if p.requires_grad)


@EACH_DIRECTION
@pytest.mark.parametrize('counts', [(0, 0), ()], ids=['no region', 'no image'])
def test_nothing_to_learn_from_gives_zero_gradients(direction, counts):
    model, data = trainer(direction), batch(counts=(0, 0))
    data.update(images=data['images'][:len(counts)], boxes=data['boxes'][:len(counts)],
                data_samples=data['data_samples'][:len(counts)])
    loss = model(**data, mode='loss')['loss_refiner']
    loss.backward()
    assert loss == 0
    assert all(p.grad is not None and not p.grad.any() for p in model.parameters() if p.requires_grad)


def test_state_dict_holds_the_refiner_only_and_loads_strictly():
    model, other = trainer(), trainer()
    state = model.state_dict()
    assert state and all(key.startswith('refiner.') for key in state)
    assert {key.removeprefix('refiner.') for key in state} == model.refiner.state_dict().keys()
    other.load_state_dict({key: value + 1 for key, value in state.items()})
    assert torch.equal(other.refiner.fc_cls[0].weight, model.refiner.fc_cls[0].weight + 1)
    assert torch.equal(other.backbone.vit.head.weight, model.backbone.vit.head.weight)
    with pytest.raises(RuntimeError, match='Missing key.*refiner.fc_cls.0.weight'):
        other.load_state_dict({key: value for key, value in state.items() if key != 'refiner.fc_cls.0.weight'})


@torch.no_grad()
def test_predict_against_a_slow_version():
    model, data = trainer().eval(), batch()
    generator = torch.Generator().manual_seed(1)
    masks = [torch.rand(k, 3, 4, generator=generator) > 0.3 for k in (3, 2)]
    samples = model(**data, masks=masks, mode='predict')
    boxes, pooled = (torch.cat([s.get(name) for s in samples]) for name in ('box_features', 'mask_features'))
    assert boxes.shape == pooled.shape == (5, 24)
    for k, (x, box, _) in enumerate(one_by_one(data)):
        tokens = model.refiner(model.backbone.intermediates(x, (0, 1)), [box[None]], 4)[0]  # native grid: 4 x 4
        tokens = torch.stack([z / z.norm() for z in tokens])
        mean = sum(tokens) / 16
        assert torch.allclose(boxes[k], mean / mean.norm(), atol=1e-5)
        weights = slow_tokens(torch.cat(masks)[k][None].double(), box, 4).float()
        mean = sum(w * z for w, z in zip(weights, tokens))
        assert torch.allclose(pooled[k], mean / mean.norm(), atol=1e-5)
    assert torch.allclose(pooled.norm(dim=1), torch.ones(5), atol=1e-5)


@torch.no_grad()
def test_predict_of_a_whole_mask_is_that_of_its_box_and_of_no_region_is_empty():
    model = trainer().eval()
    data = batch(counts=(2, 0))
    samples = model(**data, masks=[torch.ones(k, 3, 4, dtype=torch.bool) for k in (2, 0)], mode='predict')
    assert torch.allclose(samples[0].box_features, samples[0].mask_features, atol=1e-6)
    assert samples[1].box_features.shape == samples[1].mask_features.shape == (0, 24)
    samples = model(**batch(counts=(0, )), masks=[torch.zeros(0, 3, 4)], mode='predict')
    assert samples[0].mask_features.shape == (0, 24)


@torch.no_grad()
def test_the_untrained_refiner_describes_the_whole_image_as_the_tower_does():
    # FC_inter starts at 0, and the value path of the only block does not read the class token.
    model = RefinerTrainer(BACKBONE, {**REFINER, 'num_blocks': 1, 'inter_layers': (1, 3)})
    randomize(model.backbone, 0)
    model.init_weights()
    images, boxes = torch.randn(1, 3, 64, 64), [torch.tensor([[0., 0., 64., 64.]])]
    got = model(images, boxes, data_samples=[RegionSample()], mode='predict')[0].box_features[0]
    expected = model.backbone.encode_dense(images).mean((2, 3))[0]  # of unit tokens, as of a tower's map
    assert torch.allclose(got, F.normalize(expected, dim=0), atol=1e-5)


def segmented(counts: tuple[int, ...] = (3, 2)) -> dict:
    """The batch with two segments in every crop of 4 x 4 tokens."""
    data = batch(counts)
    for sample, count in zip(data['data_samples'], counts):
        sample.segments = (torch.arange(16) < 5).long().expand(count, 16)
    return data


@torch.no_grad()
@EACH_DIRECTION
def test_negatives_of_other_segments(direction):
    model, data = trainer(direction, 'other_segments'), segmented()
    same = torch.block_diag(torch.ones(5, 5), torch.ones(11, 11)).bool()  # the first 5 tokens, and the rest
    tokens = model.tokens(data['images'], data['boxes'], data['crops'], data['data_samples'])
    expected = slow_refiner_loss(*tokens, model.refiner_loss, ~same.expand(5, 16, 16))
    assert model(**data, mode='loss')['loss_refiner'].item() == pytest.approx(expected, abs=1e-4)
    assert expected < trainer(direction)(**data, mode='loss')['loss_refiner'] - 0.01


def test_random_negatives_are_as_many_as_those_of_other_segments():
    samples, tokens = segmented((40, 30))['data_samples'], torch.zeros(70, 16, 24)
    by_segment, by_chance = (NEGATIVES[name](samples, tokens) for name in ('other_segments', 'as_many_at_random'))
    assert torch.equal(by_chance.sum(2), by_segment.sum(2)) and not torch.equal(by_chance, by_segment)
    assert not by_chance.diagonal(dim1=1, dim2=2).any()
    # Of the 15 other tokens, 11 are drawn for one of the first 5 tokens, 5 for one of the rest.
    share, elsewhere = by_chance.float().mean(0), ~torch.eye(16, dtype=torch.bool)
    for rows, expected in ((slice(5), 11 / 15), (slice(5, 16), 5 / 15)):
        assert (share[rows][elsewhere[rows]] - expected).abs().max() < 0.25  # 4 standard deviations of 70 draws


@pytest.mark.parametrize('negatives', ['other_segments', 'as_many_at_random'])
def test_negatives_without_segments(negatives):
    model = trainer(negatives=negatives)
    with pytest.raises(ValueError, match=r"'negatives': found no segments in the sample .*type='SegmentedLocalCrops'"):
        model(**batch(), mode='loss')
    nothing = batch((0, 0))
    assert model(nothing['images'][:0], [], nothing['crops'], data_samples=[], mode='loss')['loss_refiner'] == 0


def test_bad_fields():
    with pytest.raises(ValueError, match="RefinerTrainer field 'direction': found 'up', expected one of"):
        trainer('up')
    with pytest.raises(ValueError, match=r"'negatives': found 'few', expected one of \('other_tokens', 'other_seg"):
        trainer(negatives='few')
