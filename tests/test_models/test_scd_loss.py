import math
import weakref

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from rsc_mm.models.losses import SCDLoss

EACH_DISTANCE = pytest.mark.parametrize('distance', ['cross_entropy', 'frobenius'])
EACH_SCOPE = pytest.mark.parametrize('scope', ['region', 'image', 'inter_instance'])


def tokens(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def orthogonal(size: int, seed: int) -> torch.Tensor:
    return torch.linalg.qr(tokens(size, size, seed=seed))[0]


def slow_rows(z: torch.Tensor, normalise: bool) -> list[list[float]]:
    """The correlations of one set of tokens (L, D), number by number."""
    z = [row / math.sqrt(row @ row) if normalise else row for row in z]
    return [[sum(a * b for a, b in zip(x.tolist(), y.tolist())) for y in z] for x in z]


def slow_softmax(row: list[float], tau: float) -> list[float]:
    weights = [math.exp(value / tau) for value in row]
    return [weight / sum(weights) for weight in weights]


def slow_set(student: torch.Tensor, target: torch.Tensor, loss: SCDLoss) -> float:
    """One region's value, by the equations."""
    values = []
    for row_s, row_t in zip(*(slow_rows(z, loss.normalise) for z in (student, target))):
        if loss.distance == 'frobenius':
            values.append(sum((s - t) ** 2 for s, t in zip(row_s, row_t)) / len(row_s))
        else:
            p, q = slow_softmax(row_t, loss.tau_t), slow_softmax(row_s, loss.tau_s)
            values.append(-sum(a * math.log(b) for a, b in zip(p, q)))
    return sum(values) / len(values)


def slow_scd(student: torch.Tensor, target: torch.Tensor, loss: SCDLoss) -> float:
    """Region tokens (K, L, D) and (K, L, D')."""
    if loss.scope == 'inter_instance':
        student, target = ([sum(region) / len(region) for region in z] for z in (student, target))
        return loss.loss_weight * slow_set(torch.stack(student), torch.stack(target), loss)
    return loss.loss_weight * sum(slow_set(s, t, loss) for s, t in zip(student, target)) / len(student)


@EACH_DISTANCE
@EACH_SCOPE
@pytest.mark.parametrize('normalise', [True, False])
@pytest.mark.parametrize('taus', [(0.2, 0.2), (0.3, 0.1), (1., 2.)])
def test_against_slow_version(distance, scope, normalise, taus):
    student, target = tokens(4, 5, 6) / 2, tokens(4, 5, 7, seed=1) / 2
    loss = SCDLoss(*taus, 0.4, normalise, distance, scope)
    assert loss(student, target).item() == pytest.approx(slow_scd(student, target, loss), abs=1e-6)


@EACH_DISTANCE
@EACH_SCOPE
def test_on_maps_against_slow_version(distance, scope):
    # Boxes on cell borders with as many tokens as cells: RoIAlign reads each cell itself.
    student, target = tokens(2, 6, 4, 4), tokens(2, 7, 4, 4, seed=1)
    boxes = [torch.tensor([[16., 32., 48., 64.]]), torch.tensor([[0., 0., 32., 32.], [32., 16., 64., 48.]])]
    places = [(0, slice(2, 4), slice(1, 3)), (1, slice(0, 2), slice(0, 2)), (1, slice(1, 3), slice(2, 4))]
    if scope == 'image':
        places = [(0, slice(4), slice(4)), (1, slice(4), slice(4))]
    loss = SCDLoss(distance=distance, scope=scope, region_size=4 if scope == 'image' else 2)
    regions = [torch.stack([z[b, :, y, x].flatten(1).T for b, y, x in places]) for z in (student, target)]
    assert loss.from_maps(student, target, boxes, 16).item() == pytest.approx(slow_scd(*regions, loss), abs=1e-6)


def test_by_hand():
    # C^s = [[1, 0], [0, 1]], C^t = [[1, .6], [.6, 1]]. Target row softmax(1, .6) = (.598688, .401312), student row
    # softmax(1, 0): -.598688 ln .731059 - .401312 ln .268941 = .187546 + .527028. With tau_s = .5 it is softmax(2, 0):
    # -.598688 ln .880797 - .401312 ln .119203 = .075992 + .853561. Frobenius: (0 + .36 + .36 + 0) / 4.
    student, target = torch.tensor([[[2., 0.], [0., 3.]]]), torch.tensor([[[1., 0.], [3., 4.]]])
    assert SCDLoss(1, 1, loss_weight=1)(student, target).item() == pytest.approx(0.714574, abs=1e-6)
    assert SCDLoss(0.5, 1, loss_weight=0.2)(student, target).item() == pytest.approx(0.2 * 0.929553, abs=1e-6)
    assert SCDLoss(distance='frobenius', loss_weight=1)(student, target).item() == pytest.approx(0.18, abs=1e-6)
    # The same two tokens as the only ones of two regions.
    inter = SCDLoss(1, 1, loss_weight=1, scope='inter_instance')
    assert inter(student.transpose(0, 1), target.transpose(0, 1)).item() == pytest.approx(0.714574, abs=1e-6)


@EACH_DISTANCE
@EACH_SCOPE
@pytest.mark.parametrize('normalise', [True, False])
def test_gradients(distance, scope, normalise):
    loss = SCDLoss(0.5, 0.3, distance=distance, scope=scope, normalise=normalise, chunk_size=2)
    student, target = tokens(3, 4, 5).requires_grad_(), tokens(3, 4, 5, seed=1)
    assert torch.autograd.gradcheck(lambda z: loss(z, target), student)


@EACH_SCOPE
def test_equal_features_give_the_targets_own_entropy_and_that_is_the_minimum(scope):
    loss, target = SCDLoss(loss_weight=1, scope=scope), tokens(3, 6, 8)
    student = target.clone().requires_grad_()
    value = loss(student, target)
    sets = target.mean(1)[None] if scope == 'inter_instance' else target
    rows = [slow_softmax(row, 0.2) for z in sets for row in slow_rows(z, True)]
    entropy = -sum(p * math.log(p) for row in rows for p in row) / len(rows)
    assert value.item() == pytest.approx(entropy, abs=1e-9)
    value.backward()
    assert student.grad.abs().max() < 1e-12
    for seed, scale in enumerate([1e-3, 1e-2, 0.1, 1, 10] * 4):
        assert loss(target + scale * tokens(3, 6, 8, seed=seed + 1), target) > value


def test_frobenius_of_equal_features_is_zero():
    assert SCDLoss(distance='frobenius')(tokens(3, 6, 8), tokens(3, 6, 8)) == 0


@EACH_DISTANCE
def test_permuted_tokens_raise_the_loss(distance):
    loss, target = SCDLoss(distance=distance), tokens(3, 6, 8)
    for shift in range(1, 6):
        assert loss(target.roll(shift, 1), target) > loss(target, target) + 0.01
        assert loss(target.roll(shift, 1), target.roll(shift, 1)).item() == pytest.approx(loss(target, target).item())


@EACH_DISTANCE
@EACH_SCOPE
def test_orthogonal_maps_and_lengths_change_nothing(distance, scope):
    loss, student, target = SCDLoss(distance=distance, scope=scope), tokens(3, 6, 8), tokens(3, 6, 5, seed=1)
    expected = loss(student, target).item()
    assert loss(student @ orthogonal(8, 2), target @ orthogonal(5, 3)).item() == pytest.approx(expected, abs=1e-12)
    assert loss(7 * student, target / 3).item() == pytest.approx(expected, abs=1e-12)
    one_turned = torch.cat([student[:1] @ orthogonal(8, 2), student[1:]])
    same = loss(one_turned, target).item() == pytest.approx(expected, abs=1e-12)
    assert same == (scope != 'inter_instance')  # there one map must turn all regions


@EACH_DISTANCE
@EACH_SCOPE
def test_no_region_gives_zero_with_a_graph(distance, scope):
    loss, weight = SCDLoss(distance=distance, scope=scope), torch.ones(8, requires_grad=True)
    value = loss(torch.zeros(0, 49, 8) * weight, torch.zeros(0, 49, 8))
    value.backward()
    assert value == 0 and torch.equal(weight.grad, torch.zeros(8))


@EACH_SCOPE
@pytest.mark.parametrize('images', [0, 2])
def test_maps_without_regions(scope, images):
    maps = torch.randn(images, 8, 3, 4, requires_grad=True)
    value = SCDLoss(scope=scope, region_size=2).from_maps(maps, maps.detach() + 1, [torch.zeros(0, 4)] * images, 16)
    value.backward()
    assert maps.grad.shape == maps.shape
    assert (value > 0) == (scope == 'image' and images > 0)  # an image is a region, with or without boxes


@EACH_DISTANCE
@EACH_SCOPE
def test_float32_under_autocast(distance, scope):
    loss = SCDLoss(distance=distance, scope=scope, chunk_size=2)
    student, target = (tokens(5, 9, 16, seed=s).bfloat16().requires_grad_() for s in (0, 1))
    with torch.autocast('cpu', torch.bfloat16):
        value = loss(student, target.detach())
    value.backward()
    assert value.dtype == torch.float32 and value == loss(student.float(), target.float())
    assert student.grad.isfinite().all() and student.grad.abs().max() > 0


@EACH_DISTANCE
@pytest.mark.parametrize('size', [1, 3, 64])
def test_chunks_change_nothing(distance, size):
    student, target = tokens(7, 4, 5), tokens(7, 4, 5, seed=1)
    results = []
    for chunk in (size, 7):
        leaf = student.clone().requires_grad_()
        value = SCDLoss(distance=distance, chunk_size=chunk)(leaf, target)
        results += [value.detach(), *torch.autograd.grad(value, leaf)]
    assert torch.allclose(results[0], results[2], atol=1e-12)
    assert torch.allclose(results[1], results[3], atol=1e-12)


class Correlations(TorchDispatchMode):
    """Counts the numbers held in storages that a tensor (..., L, L) was made in."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side
        self.held = {}
        self.peak = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for value in out if isinstance(out, (tuple, list)) else [out]:
            if isinstance(value, torch.Tensor) and value.shape[-2:] == (self.side, self.side):
                storage = value.untyped_storage()
                if storage.data_ptr() not in self.held:
                    self.held[storage.data_ptr()] = value.numel()
                    weakref.finalize(storage, self.held.pop, storage.data_ptr(), None)
                    self.peak = max(self.peak, sum(self.held.values()))
        return out


def correlation_memory(regions: int, chunk: int) -> tuple[int, int]:
    """Numbers in correlations, in units of L^2: held between forward and backward, and at the peak."""
    student, target = torch.randn(2, regions, 25, 8)
    student.requires_grad_()
    with Correlations(25) as watch:
        value = SCDLoss(chunk_size=chunk)(student, target)
        held = sum(watch.held.values())
        value.backward()
    return held // 625, watch.peak // 625


def test_memory_is_bounded_by_the_chunk():
    held, peak = correlation_memory(32, 4)
    assert held == 0 and 4 <= peak <= 8 * 4
    assert correlation_memory(64, 4) == (0, peak)  # not by the regions
    assert correlation_memory(64, 8) == (0, 2 * peak)  # by the chunk


def test_the_count_of_memory_sees_correlations_that_are_kept(monkeypatch):
    monkeypatch.setattr('rsc_mm.models.losses.scd.checkpoint', lambda function, *args, use_reentrant: function(*args))
    held, peak = correlation_memory(32, 4)
    assert held >= 2 * 32 and peak >= held


@pytest.mark.parametrize('fields, expected', [
    (dict(tau_s=0), "'tau_s': found 0, expected a positive"),
    (dict(tau_t=-0.2), "'tau_t': found -0.2, expected a positive"),
    (dict(region_size=0), "'region_size': found 0, expected a positive"),
    (dict(chunk_size=0), "'chunk_size': found 0, expected a positive"),
    (dict(distance='cosine'), r"'distance': found 'cosine', expected one of \['cross_entropy', 'frobenius'\]"),
    (dict(scope='pixel'), r"'scope': found 'pixel', expected one of \['image', 'inter_instance', 'region'\]"),
])
def test_bad_fields(fields, expected):
    with pytest.raises(ValueError, match='SCDLoss field ' + expected):
        SCDLoss(**fields)


@pytest.mark.parametrize('shape', [(3, 4, 5), (2, 9, 5)])
def test_bad_shapes(shape):
    with pytest.raises(ValueError, match=r'found student tokens \(2, 4, 5\) and target tokens \(\d, \d, 5\), expected'):
        SCDLoss()(torch.zeros(2, 4, 5), torch.zeros(shape))
