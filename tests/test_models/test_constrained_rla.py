import copy
import socket

import pytest
import torch
from torch import distributed, multiprocessing
from torch.nn.parallel import DistributedDataParallel

from rsc_mm.models import CLIPSelf
from rsc_mm.models.distillers.constrained_rla import ConstrainedRLA
from tests.test_models.test_distillers import batch
from tests.towers import GOLDEN_ARCH, randomize

pytestmark = pytest.mark.slow  # trains, or starts whole programs

CONSTRAINTS = {
    'attention': dict(type='AttentionCorrelation', scd_loss=dict(type='SCDLoss', loss_weight=0.5)),
    'contrast': dict(type='DenseContrast', momentum=0.9, region_size=3, loss_weight=0.5),
    'masked': dict(type='MaskedModelling', momentum=0.9, num_prototypes=32, loss_weight=0.5),
}
EACH = pytest.mark.parametrize('name', CONSTRAINTS)


def build(name: str, **backbone: object) -> ConstrainedRLA:
    torch.manual_seed(4)  # the prototypes
    model = ConstrainedRLA(dict(type='EVACLIPViT', arch=GOLDEN_ARCH, **backbone), dict(type='CropAlignment'),
                           CONSTRAINTS[name])
    randomize(model.backbone, 0)
    model.init_weights()
    return model.train()


def backward(model: torch.nn.Module, data: dict) -> dict[str, torch.Tensor]:
    losses = model(**data, mode='loss')
    sum(losses.values()).backward()
    return losses


def gradients(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def sgd(model: torch.nn.Module, lr: float = 0.01) -> torch.optim.Optimizer:
    return torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=lr)


@EACH
def test_loss_is_alignment_and_constraint(name):
    model, data = build(name), batch()
    clipself = CLIPSelf(dict(type='EVACLIPViT', arch=GOLDEN_ARCH))
    randomize(clipself.backbone, 0)
    clipself.init_weights()
    losses = model(**data, mode='loss')
    assert losses.keys() == {'loss_align', 'loss_constraint'}
    assert torch.equal(losses['loss_align'], clipself(**data, mode='loss')['loss_align'])
    other = build(name)
    (other.constraint.scd_loss if name == 'attention' else other.constraint).loss_weight = 1.
    assert torch.allclose(2 * losses['loss_constraint'], other(**data, mode='loss')['loss_constraint'])


@EACH
def test_a_step_lowers_the_loss_and_leaves_the_teacher_alone(name):
    model, data = build(name), batch()
    before = copy.deepcopy(model.teacher.state_dict())
    randomize(model.backbone, 1)
    optimizer, values = sgd(model, 0.003), []
    for _ in range(3):
        optimizer.zero_grad()
        values.append(backward(model, data)['loss_constraint'].item())
        optimizer.step()
    assert values[0] > values[1] > values[2]
    assert all(torch.equal(value, before[key]) for key, value in model.teacher.state_dict().items())
    assert all(p.grad is None for p in model.teacher.parameters())


@EACH
def test_no_trainable_parameter_is_unused(name):
    model = build(name)
    backward(model, batch())
    trainable = {key for key, p in model.named_parameters() if p.requires_grad}
    assert gradients(model).keys() == trainable
    assert not [key for key in trainable if 'ema' in key]


@EACH
@pytest.mark.parametrize('counts', [(0, 0), ()], ids=['no region', 'no image'])
def test_nothing_to_learn_from_gives_zero_gradients(name, counts):
    model, data = build(name), batch(counts=(0, 0))
    data.update(images=data['images'][:len(counts)], boxes=data['boxes'][:len(counts)],
                data_samples=data['data_samples'][:len(counts)])
    loss = backward(model, data)['loss_constraint']
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)
    if name == 'masked' and counts:
        assert loss > 0  # masked modelling needs images only
    else:
        assert loss == 0 and all(g.abs().max() == 0 for g in gradients(model).values())


@EACH
def test_a_checkpoint_continues_exactly(name):
    model, data = build(name), batch()
    optimizer = sgd(model)
    for _ in range(2):
        optimizer.zero_grad()
        backward(model, data)
        optimizer.step()
    state = copy.deepcopy(model.state_dict())
    assert not [key for key in state if key.startswith('teacher.')]
    assert any('ema' in key for key in state) == (name != 'attention')
    other = build(name)
    other.load_state_dict(state)
    losses = [backward(m, batch(seed=1)) for m in (model.zero_grad() or model, other)]
    assert losses[0].keys() == losses[1].keys()
    assert all(torch.equal(value, losses[1][key]) for key, value in losses[0].items())
    assert all(torch.equal(value, gradients(other)[key]) for key, value in gradients(model).items())
    assert all(torch.equal(value, other.state_dict()[key]) for key, value in model.state_dict().items())


@EACH
def test_constraints_are_float32_under_autocast(name):
    model, data = build(name), batch()
    with torch.autocast('cpu', torch.bfloat16):
        losses = backward(model, data)
    assert losses['loss_constraint'].dtype == torch.float32 and losses['loss_constraint'].isfinite()
    assert all(g.isfinite().all() for g in gradients(model).values())
    exact = build(name)(**data, mode='loss')['loss_constraint']
    assert losses['loss_constraint'].item() == pytest.approx(exact.item(), rel=0.05)


def test_attention_correlation_is_at_its_minimum_for_the_teachers_own_values():
    model, data = build('attention'), batch()
    loss = model(**data, mode='loss')['loss_constraint']
    loss.backward()
    assert all(p.grad is None or p.grad.abs().max() < 1e-6 for p in model.parameters())
    randomize(model.backbone, 1)
    moved = model(**data, mode='loss')['loss_constraint']
    assert moved > loss + 0.01
    moved.backward()
    value = model.backbone.vit.blocks[-1].attn.v_proj.weight
    assert value.grad.abs().max() > 1e-4
    assert all(p.grad is None or p.grad.abs().max() < 1e-6 for p in model.backbone.vit.blocks[-1].mlp.parameters())


def test_values_carry_the_same_gradient_under_activation_checkpointing():
    grads = []
    for with_cp in (False, True):
        model = build('attention', with_cp=with_cp)
        randomize(model.backbone, 1)
        backward(model, batch())
        grads.append(gradients(model))
    assert grads[0].keys() == grads[1].keys()
    for key, value in grads[0].items():
        assert torch.allclose(value, grads[1][key], atol=1e-7), key


@pytest.mark.parametrize('name', ['contrast', 'masked'])
def test_the_ema_teacher_follows_the_student(name):
    model = build(name)
    pairs = [(model.backbone, model.constraint.ema.module)]
    if name == 'masked':
        pairs.append((model.constraint.prototypes, model.constraint.ema_prototypes.module))
    optimizer, students = sgd(model), []
    for _ in range(3):
        students.append([copy.deepcopy(student.state_dict()) for student, _ in pairs])
        optimizer.zero_grad()
        backward(model, batch())
        optimizer.step()
    for (_, ema), first, second, third in zip(pairs, *students):
        assert any(not torch.equal(value, third[key]) for key, value in first.items())
        for key, value in ema.state_dict().items():
            expected = 0.9 * (0.9 * first[key] + 0.1 * second[key]) + 0.1 * third[key]
            assert torch.allclose(value, expected, atol=1e-6), key


def two_steps(model: ConstrainedRLA, wrapped: torch.nn.Module, data: dict) -> list[dict[str, torch.Tensor]]:
    """The gradients; at the second step student, teacher, EMA teacher and centre all differ."""
    optimizer, steps = sgd(model), []
    for _ in range(2):
        optimizer.zero_grad()
        backward(wrapped, data)
        steps.append({name: g.clone() for name, g in gradients(model).items()})
        optimizer.step()
    return steps


def parts() -> list[dict]:
    """A batch of four images with 4, 1, 0 and 2 regions, two images for each process."""
    data, split = batch(counts=(4, 1, 0, 2)), []
    for images, regions in ((slice(0, 2), slice(0, 5)), (slice(2, 4), slice(5, 7))):
        split.append({**{key: data[key][images] for key in ('images', 'boxes', 'data_samples')},
                      'crops': data['crops'][regions]})
    return split


def steps_of_rank(rank: int, port: int, folder: str) -> None:
    distributed.init_process_group('gloo', f'tcp://127.0.0.1:{port}', world_size=2, rank=rank)
    for name in CONSTRAINTS:
        model = build(name, with_cp=True)
        steps = two_steps(model, DistributedDataParallel(model, broadcast_buffers=False), parts()[rank])
        torch.save((steps, model.state_dict()), f'{folder}/{name}_{rank}.pt')
    distributed.destroy_process_group()


def assert_close(steps: list[dict], expected: list[dict]) -> None:
    for step, other in zip(steps, expected):
        assert step.keys() == other.keys()
        for key, value in other.items():
            assert torch.allclose(value, step[key], atol=1e-4 * value.abs().max().item() + 1e-8), key


def test_two_processes_with_activation_checkpointing(tmp_path):
    with socket.socket() as server:
        server.bind(('127.0.0.1', 0))
        port = server.getsockname()[1]
    multiprocessing.spawn(steps_of_rank, (port, str(tmp_path)), nprocs=2)
    results = {}
    for name in CONSTRAINTS:
        results[name], state = torch.load(tmp_path / f'{name}_0.pt')
        other = torch.load(tmp_path / f'{name}_1.pt')[1]
        assert all(torch.equal(value, other[key]) for key, value in state.items()), 'the processes drifted apart'
    for name in ('attention', 'masked'):  # the gradient of the joint batch
        model = build(name)
        assert_close(results[name], two_steps(model, model, batch(counts=(4, 1, 0, 2))))
    model = build('contrast')  # each process contrasts its own regions, each of the 7 counts as much
    for part, count in zip(parts(), (5, 2)):
        (count / 7 * sum(model(**part, mode='loss').values())).backward()
    assert_close(results['contrast'][:1], [gradients(model)])
