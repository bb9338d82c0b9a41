import copy

import pytest
import torch
from torch.nn import functional as F

from rsc_mm.models import SCRLA, EndToEndSCRLA
from rsc_mm.utils.regions import pool_regions, region_tokens
from tests.test_models.test_refiner_loss import slow_refiner_loss
from tests.test_models.test_refiner_trainer import BACKBONE, REFINER, batch, one_by_one
from tests.test_models.test_scd_loss import slow_scd
from tests.towers import randomize

SCD = dict(type='SCDLoss', loss_weight=0.5, region_size=3, chunk_size=2)
NOUNS = dict(type='NounAlignment', text_loss=dict(type='RegionTextLoss', num_classes=6, logit_scale=10.))
COUNTS = (4, 3)  # of which 2 and 1 are local crops


def build(cls: type, seed: int | None = 0, **fields: object) -> SCRLA:
    """A student that has moved away from its random teacher; with seed None as training starts it."""
    torch.manual_seed(2)
    model = cls(BACKBONE, **{'scd_loss': SCD, **fields})
    randomize(model.backbone, 0)
    model.init_weights()
    if seed is not None:
        for parameter in model.backbone.parameters():
            if parameter.requires_grad:
                parameter.data += 0.02 * torch.randn(parameter.shape)
        if model.refiner is not None:
            torch.nn.init.normal_(model.refiner.fc_inter[-1].weight, std=0.1)
    return model.train()


def nouns() -> dict:
    return {**NOUNS, 'class_embeddings': F.normalize(torch.randn(12, 24, generator=torch.Generator().manual_seed(5)))}


BUILDS = {
    'SC': lambda **fields: build(SCRLA, **fields),
    'R-SC': lambda **fields: build(SCRLA, refiner=REFINER, **fields),
    'R-SC Region-Text': lambda **fields: build(SCRLA, refiner=REFINER, rla=nouns(), **fields),
    'R-SC-V': lambda **fields: build(SCRLA, refiner=REFINER, rla=None, **fields),
    'E2E': lambda **fields: build(EndToEndSCRLA, refiner=REFINER, **fields),
}
EACH = pytest.mark.parametrize('name', BUILDS)
TWO_STAGE = pytest.mark.parametrize('name', [name for name in BUILDS if name != 'E2E'])
TERMS = {'SC': {'loss_align'}, 'R-SC': {'loss_align'}, 'R-SC Region-Text': {'loss_text'}, 'R-SC-V': set(),
         'E2E': {'loss_align', 'loss_refiner'}}


def data_of(name: str, counts: tuple[int, ...] = COUNTS, seed: int = 0) -> dict:
    data = batch(counts, seed)
    return {**data, 'crops': None} if name in ('R-SC Region-Text', 'R-SC-V') else data


def total(model: SCRLA, data: dict) -> torch.Tensor:
    return sum(model(**data, mode='loss').values())


def trained(model: SCRLA) -> dict[str, torch.nn.Parameter]:
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


def equal(first: dict, second: dict) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


@torch.no_grad()
@EACH
def test_it_is_the_formula(name):
    model, data = BUILDS[name](), data_of(name)
    losses = model(**data, mode='loss')
    assert losses.keys() == {'loss_scd'} | TERMS[name]
    crops = batch(COUNTS)['crops']
    local = torch.cat([s.is_local for s in data['data_samples']]).tolist()
    terms = {'loss_align': [], 'student': [], 'target': [], 'refined': [], 'plain': []}
    for (x, box, crop), is_local in zip(one_by_one({**data, 'crops': crops}), local):
        maps = model.teacher.intermediates(x, (0, 1))
        if name == 'E2E' and is_local:
            terms['refined'] += [model.refiner(maps, [box[None]], 4)[0]]
            terms['plain'] += [model.teacher.encode_dense(crop, normalize=False)[0].flatten(1).T]
            continue
        dense = model.backbone.encode_dense(x)
        region = pool_regions(dense, [box[None]], 16)[0]
        terms['loss_align'] += [1 - F.cosine_similarity(region, model.teacher.encode_image(crop)[0], dim=0).item()]
        terms['student'] += [region_tokens(dense, [box[None]], 16, 3)[0]]
        terms['target'] += [model.refiner(maps, [box[None]], 3)[0] if model.refiner is not None else
                            region_tokens(model.teacher.encode_dense(x), [box[None]], 16, 3)[0]]
    expected = {'loss_scd': slow_scd(torch.stack(terms['student']), torch.stack(terms['target']), model.scd_loss),
                'loss_align': sum(terms['loss_align']) / len(terms['loss_align'])}
    if name == 'E2E':
        expected['loss_refiner'] = slow_refiner_loss(*(torch.stack(terms[key]) for key in ('refined', 'plain')),
                                                     model.refiner_loss)
    for key in losses.keys() - {'loss_text'}:
        assert losses[key].item() == pytest.approx(expected[key], abs=1e-4), key


@torch.no_grad()
def test_region_text_term_is_that_of_region_text():
    model, data = BUILDS['R-SC Region-Text'](), data_of('R-SC Region-Text')
    embeddings, labels = model.rla.embeddings, torch.cat([s.labels for s in data['data_samples']])
    regions = pool_regions(model.backbone.encode_dense(data['images']), data['boxes'], 16)
    classes = model.rla.text_loss.sample_classes(labels, 12, seed=0)
    slow = -sum(torch.log(torch.sigmoid(10 * (1 if t == y else -1) * z @ embeddings[t]))
                for z, y in zip(regions, labels) for t in classes) / len(labels)
    assert model(**data, mode='loss')['loss_text'].item() == pytest.approx(slow.item(), abs=1e-4)


@torch.no_grad()
@pytest.mark.parametrize('name', ['SC', 'R-SC', 'E2E'])
def test_whole_images_as_regions(name):
    """Each image without its padding, on a grid as fine as the map: 48 x 64 px are 3 x 4 cells, 28 x 40 px 2 x 3."""
    model, data = BUILDS[name](scd_loss={**SCD, 'scope': 'image'}), batch(COUNTS)
    data['data_samples'][0].set_metainfo(dict(img_shape=(48, 64)))
    data['data_samples'][1].set_metainfo(dict(img_shape=(28, 40)))
    dense, slow = model.backbone.encode_dense(data['images']), 0
    for i, (box, size) in enumerate([([0., 0., 64., 48.], (3, 4)), ([0., 0., 40., 28.], (2, 3))]):
        rows = [torch.tensor([box])]
        target, = model.target(data['images'], [(slice(i, i + 1), rows, size)])
        slow += slow_scd(region_tokens(dense[i:i + 1], rows, 16, size), target, model.scd_loss) / 2
    assert model(**data, mode='loss')['loss_scd'].item() == pytest.approx(slow, abs=1e-5)


@torch.no_grad()
@pytest.mark.parametrize('name', ['SC', 'R-SC', 'E2E'])
def test_without_normalisation_both_sides_are_raw(name):
    model, data = BUILDS[name](scd_loss={**SCD, 'normalise': False, 'tau_s': 20., 'tau_t': 20.}), batch(COUNTS)
    boxes = data['boxes']
    if name == 'E2E':
        boxes = [box[~sample.is_local] for box, sample in zip(boxes, data['data_samples'])]
    student = region_tokens(model.backbone.encode_dense(data['images'], normalize=False), boxes, 16, 3)
    if name == 'SC':
        target = region_tokens(model.teacher.encode_dense(data['images'], normalize=False), boxes, 16, 3)
    else:
        target = model.refiner(model.teacher.intermediates(data['images'], model.refiner.layers), boxes, 3)
    losses = model(**data, mode='loss')
    assert losses['loss_scd'].item() == pytest.approx(slow_scd(student, target, model.scd_loss), abs=1e-4)
    assert losses['loss_align'] == BUILDS[name]()(**data, mode='loss')['loss_align'], 'alignment takes unit tokens'


@torch.no_grad()
def test_inter_instance():
    model, data = BUILDS['R-SC'](scd_loss={**SCD, 'scope': 'inter_instance'}), batch(COUNTS)
    student = region_tokens(model.backbone.encode_dense(data['images']), data['boxes'], 16, 3)
    target, = model.target(data['images'], [(slice(None), data['boxes'], 3)])
    slow = slow_scd(student, target, model.scd_loss)
    assert model(**data, mode='loss')['loss_scd'].item() == pytest.approx(slow, abs=1e-5)


class Calls:
    """The number of inputs in each call of a module, told apart by the shape behind the first dimension."""

    def __init__(self, module: torch.nn.Module) -> None:
        self.seen = {}
        module.register_forward_pre_hook(self.note)

    def note(self, module: torch.nn.Module, inputs: tuple) -> None:
        self.seen.setdefault(tuple(inputs[0].shape[1:]), []).append(len(inputs[0]))


@EACH
def test_the_student_and_the_teachers_early_blocks_run_once(name):
    model, data = BUILDS[name](), data_of(name)
    student = Calls(model.backbone.vit.patch_embed)
    blocks = [Calls(block) for block in model.teacher.vit.blocks]
    total(model, data).backward()
    assert student.seen == {(3, 48, 64): [2]}
    images, crops = (13, 48), (17, 48)  # 1+N tokens of width 48
    for index, calls in enumerate(blocks):
        frozen_target = name == 'SC' and index < 3  # the value readout takes the place of the last block
        early = name != 'SC' and index < 2  # f_A; the Refiner takes the place of f_B
        assert calls.seen.get(images) == ([2] if frozen_target or early else None)
        expected = {'SC': [7], 'R-SC': [7], 'E2E': [4, 3]}.get(name)  # E2E: regions and local crops
        if index < 3:
            assert (sorted(calls.seen[crops], reverse=True) if expected else calls.seen.get(crops)) == expected


@EACH
def test_no_trainable_parameter_is_unused(name):
    model = BUILDS[name]()
    total(model, data_of(name)).backward()
    assert all(p.grad is not None and p.grad.any() for p in trained(model).values())
    parts = {key.split('.')[0] for key in trained(model)}
    assert parts == ({'backbone', 'refiner'} if name == 'E2E' else {'backbone'})


@EACH
@pytest.mark.parametrize('counts', [(0, 0), ()], ids=['no region', 'no image'])
@pytest.mark.parametrize('scope', ['region', 'inter_instance'])
def test_nothing_to_learn_from_gives_zero_gradients(name, counts, scope):
    model, data = BUILDS[name](scd_loss={**SCD, 'scope': scope}), data_of(name, counts=(0, 0))
    data.update({key: data[key][:len(counts)] for key in ('images', 'boxes', 'data_samples')})
    loss = total(model, data)
    loss.backward()
    assert loss == 0
    assert all(p.grad is not None and not p.grad.any() for p in trained(model).values())


def alignment(model: SCRLA, data: dict) -> tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]:
    """The two losses of R-SC, and the gradient of the alignment alone."""
    losses = model(**data, mode='loss')
    term = losses['loss_text' if 'loss_text' in losses else 'loss_align']
    names, parameters = zip(*trained(model).items())
    grads = torch.autograd.grad(term, parameters, allow_unused=True)
    return term.detach(), losses['loss_scd'].detach(), {n: g for n, g in zip(names, grads) if g is not None}


@pytest.mark.parametrize('name', ['R-SC', 'R-SC Region-Text', 'E2E'])
def test_refined_features_never_reach_the_alignment(name):
    model, data = BUILDS[name](), data_of(name)
    before = alignment(model, data)
    assert all(key.startswith('backbone.') for key in before[2])
    randomize(model.refiner, 9)
    after = alignment(model, data)
    assert torch.equal(before[0], after[0]) and equal(before[2], after[2])
    assert abs(before[1] - after[1]) > 1e-4


def test_no_gradient_reaches_the_target():
    model, data = BUILDS['E2E'](), batch(COUNTS)
    losses = model(**data, mode='loss')
    parameters = list(model.refiner.parameters())
    grads = torch.autograd.grad(losses['loss_scd'], [p for p in parameters if p.requires_grad], allow_unused=True)
    assert all(grad is None for grad in grads)
    student = [p for p in model.backbone.parameters() if p.requires_grad]
    assert all(g is None for g in torch.autograd.grad(losses['loss_refiner'], student, allow_unused=True))
    target, = BUILDS['R-SC']().target(data['images'], [(slice(None), data['boxes'], 3)])
    assert not target.requires_grad


@EACH
def test_a_step_lowers_the_loss_and_leaves_the_frozen_parts_alone(name):
    model, data = BUILDS[name](), data_of(name)
    frozen = [getattr(model, part) for part in model.frozen_parts]
    before = [copy.deepcopy(part.state_dict()) for part in frozen]
    optimizer = torch.optim.SGD(trained(model).values(), lr=0.003)
    values = []
    for _ in range(3):
        loss = total(model, data)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        values.append(loss.item())
    assert values[0] > values[1] > values[2]
    assert len(frozen) == (1 if name in ('SC', 'E2E') else 2)
    for part, state in zip(frozen, before):
        assert equal(part.state_dict(), state)
        assert all(p.grad is None and not p.requires_grad for p in part.parameters())
    model.train()
    assert not any(module.training for part in frozen for module in part.modules())
    assert model.backbone.training and (name != 'E2E' or model.refiner.training)


@EACH
def test_state_dict_holds_what_trains_and_loads_strictly(name):
    model, other = BUILDS[name](), BUILDS[name]()
    state = model.state_dict()
    assert {key.split('.')[0] for key in state} == ({'backbone', 'refiner'} if name == 'E2E' else {'backbone'})
    other.load_state_dict({key: value + 1 for key, value in state.items()})
    assert equal(other.state_dict(), {key: value + 1 for key, value in state.items()})
    for part in model.frozen_parts:
        assert equal(getattr(model, part).state_dict(), getattr(other, part).state_dict())


@EACH
def test_a_seeded_run_repeats_exactly(name):
    runs = []
    for _ in range(2):
        model = BUILDS[name](seed=None)
        optimizer = torch.optim.AdamW(trained(model).values(), lr=1e-3)
        for seed in range(3):
            optimizer.zero_grad()
            total(model, data_of(name, seed=seed)).backward()
            optimizer.step()
        runs.append(model.state_dict())
    assert equal(*runs)
    start = BUILDS[name](seed=None).state_dict()
    assert not equal(runs[0], start)


def test_the_student_starts_at_the_minimum_of_the_frozen_target():
    model, data = BUILDS['SC'](seed=None), batch(COUNTS)
    model(**data, mode='loss')['loss_scd'].backward()
    assert all(p.grad.abs().max() < 1e-6 for p in trained(model).values())


def test_a_missing_refiner_names_the_command(tmp_path):
    init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'refiner.pth'), command='python tools/train.py x.py')
    with pytest.raises(FileNotFoundError, match='refiner.pth: no such file; train the Refiner first: python tools/tra'):
        build(SCRLA, refiner={**REFINER, 'init_cfg': init_cfg})


def test_end_to_end_asks_for_local_crops():
    model, data = BUILDS['E2E'](), data_of('E2E')
    for sample in data['data_samples']:
        del sample.is_local
    with pytest.raises(ValueError, match="without 'is_local', expected regions=dict"):
        model(**data, mode='loss')


@torch.no_grad()
@pytest.mark.parametrize('refiner', [None, REFINER])
def test_a_teacher_of_another_patch_size(refiner):
    arch = {**BACKBONE['arch'], 'img_size': 56, 'patch_size': 14}
    model = SCRLA(BACKBONE, scd_loss=SCD, refiner=refiner, teacher=dict(type='EVACLIPViT', arch=arch))
    randomize(model.backbone, 0)
    randomize(model.teacher, 1)
    model.init_weights()
    data = batch(COUNTS)
    student = region_tokens(model.backbone.encode_dense(data['images']), data['boxes'], 16, 3)
    if refiner is None:
        target = region_tokens(model.teacher.encode_dense(data['images']), data['boxes'], 14, 3)
    else:
        target = model.refiner(model.teacher.intermediates(data['images'], model.refiner.layers), data['boxes'], 3)
    slow = slow_scd(student, target, model.scd_loss)
    assert model(**data, mode='loss')['loss_scd'].item() == pytest.approx(slow, abs=1e-5)
