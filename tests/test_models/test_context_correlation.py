import math

import pytest
import torch

from rsc_mm.models import ContextCorrelationLoss

DISTANCES = ['row_norm', 'absolute', 'matrix_norm', 'mse']
EACH_DISTANCE = pytest.mark.parametrize('distance', DISTANCES)


def maps(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def slow_loss(student: torch.Tensor, target: torch.Tensor, distance: str) -> float:
    """By the equations, number by number."""
    values = []
    for images in zip(student.flatten(2), target.flatten(2)):
        tokens = [[x / math.sqrt(x @ x) for x in image.T] for image in images]
        own, other = ([[(a @ b).item() for b in image] for a in image] for image in tokens)
        rows = [[t - s for s, t in zip(*pair)] for pair in zip(own, other)]
        n = len(rows)
        values.append({
            'row_norm': sum(math.sqrt(sum(d * d for d in row)) for row in rows) / n,
            'absolute': sum(abs(d) for row in rows for d in row) / n ** 2,
            'matrix_norm': math.sqrt(sum(d * d for row in rows for d in row)) / n ** 2,
            'mse': sum(d * d for row in rows for d in row) / n ** 2}[distance])
    return sum(values) / len(values)


@EACH_DISTANCE
def test_against_slow_version(distance):
    student, target = maps(2, 5, 2, 3), maps(2, 7, 2, 3, seed=1)
    loss = ContextCorrelationLoss(0.3, distance)(student, target)
    assert loss.item() == pytest.approx(0.3 * slow_loss(student, target, distance), abs=1e-9)


@pytest.mark.parametrize('distance, expected', [('row_norm', 0.6), ('absolute', 0.3), ('mse', 0.18),
                                                ('matrix_norm', math.sqrt(0.72) / 4)])
def test_by_hand(distance, expected):
    # S^s = [[1, 0], [0, 1]], S^t = [[1, .6], [.6, 1]]: two rows of (0, .6).
    student = torch.tensor([[2., 0.], [0., 3.]]).T.reshape(1, 2, 1, 2)
    target = torch.tensor([[1., 0.], [3., 4.]]).T.reshape(1, 2, 1, 2)
    assert ContextCorrelationLoss(1., distance)(student, target).item() == pytest.approx(expected, abs=1e-6)


@EACH_DISTANCE
def test_gradient(distance):
    student, target = maps(2, 4, 2, 2).requires_grad_(), maps(2, 3, 2, 2, seed=1)
    assert torch.autograd.gradcheck(lambda z: ContextCorrelationLoss(1., distance)(z, target), student)


@EACH_DISTANCE
def test_identical_maps_give_zero_whatever_their_length_or_rotation(distance):
    target = maps(2, 4, 2, 3)
    turn = torch.linalg.qr(maps(4, 4, seed=2))[0]
    student = (3 * torch.einsum('de,behw->bdhw', turn, target)).requires_grad_()
    loss = ContextCorrelationLoss(1., distance)(student, target)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-7) and student.grad.isfinite().all()
    shuffled = target.flatten(2)[:, :, torch.randperm(6, generator=torch.Generator().manual_seed(0))]
    assert ContextCorrelationLoss(1., distance)(target, shuffled.unflatten(2, (2, 3))) > 1e-3


def test_a_batch_is_the_mean_over_its_images():
    """Tokens of one image are not compared with those of another."""
    student, target, loss = maps(3, 4, 2, 3), maps(3, 5, 2, 3, seed=1), ContextCorrelationLoss(1.)
    single = [loss(s[None], t[None]).item() for s, t in zip(student, target)]
    assert loss(student, target).item() == pytest.approx(sum(single) / 3, abs=1e-9)


def test_row_norms_grow_as_the_root_of_the_tokens():
    generator = torch.Generator().manual_seed(0)
    small, large = (ContextCorrelationLoss(1.)(*torch.randn(2, 1, 16, side, side, generator=generator))
                    for side in (4, 16))
    assert large / small == pytest.approx(4, rel=0.15)


def test_float32_under_autocast():
    student, target = (maps(1, 16, 4, 4, seed=s).bfloat16().requires_grad_(s == 0) for s in (0, 1))
    with torch.autocast('cpu', torch.bfloat16):
        value = ContextCorrelationLoss()(student, target)
    value.backward()
    assert value.dtype == torch.float32 and value == ContextCorrelationLoss()(student.float(), target.float())
    assert student.grad.isfinite().all()


def test_no_image_gives_zero_with_a_graph():
    weight = torch.ones(1, requires_grad=True)
    loss = ContextCorrelationLoss()(torch.zeros(0, 4, 1, 1) * weight, torch.zeros(0, 1, 1, 1))
    loss.backward()
    assert loss == 0 and weight.grad == 0


@pytest.mark.parametrize('shape', [(1, 4, 3, 2), (2, 4, 2, 3)])
def test_grids_that_differ_are_refused(shape):
    with pytest.raises(ValueError, match=r'student map \(1, 4, 2, 3\) and a target \(\d, 4, \d, \d\), expected the'):
        ContextCorrelationLoss()(torch.zeros(1, 4, 2, 3), torch.zeros(shape))


def test_bad_field():
    with pytest.raises(ValueError, match="'distance': found 'eq9', expected one of .*absolute.*row_norm"):
        ContextCorrelationLoss(distance='eq9')
