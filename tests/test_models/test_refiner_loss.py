import math

import pytest
import torch

from rsc_mm.models.losses import RefinerLoss

EACH_OBJECTIVE = pytest.mark.parametrize('objective', ['info_nce', 'cosine'])


def tokens(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def dot(a: torch.Tensor, b: torch.Tensor) -> float:
    return sum(x * y for x, y in zip(a.tolist(), b.tolist()))


def length(a: torch.Tensor) -> float:
    return math.sqrt(dot(a, a))


def slow_refiner_loss(refined: torch.Tensor, local: torch.Tensor, loss: RefinerLoss,
                      negatives: torch.Tensor | None = None) -> float:
    """Token by token; a token itself is never a negative, whatever ``negatives`` say of it."""
    total = 0.
    for i, (crop, reference) in enumerate(zip(refined, local)):
        for j, z in enumerate(crop):
            if loss.objective == 'cosine':
                total -= dot(z, reference[j]) / length(z) / length(reference[j])
                continue
            logits = [dot(z, r) / (length(z) * length(r) if loss.normalise else 1) for r in reference]
            weights = [math.exp(logit / loss.temperature) for logit in logits]
            others = [w for k, w in enumerate(weights) if k != j and (negatives is None or negatives[i, j, k])]
            total -= math.log(weights[j] / (weights[j] + sum(others)))
    return total / refined.shape[0] / refined.shape[1]


@EACH_OBJECTIVE
@pytest.mark.parametrize('normalise', [True, False])
@pytest.mark.parametrize('temperature', [0.1, 1.])
def test_against_slow_version(objective, normalise, temperature):
    refined, local = tokens(4, 5, 6) / 2, tokens(4, 5, 6, seed=1) / 2
    loss = RefinerLoss(objective, temperature, normalise)
    assert loss(refined, local).item() == pytest.approx(slow_refiner_loss(refined, local, loss), abs=1e-6)


def test_by_hand():
    # Cosines [[1, .6], [0, .8]]. InfoNCE at temperature 1: (ln(1 + e^-.4) + ln(1 + e^-.8)) / 2, at .5:
    # (ln(1 + e^-.8) + ln(1 + e^-1.6)) / 2. Cosine: -(1 + .8) / 2. Dot products [[2, 6], [0, 24]]:
    # (ln(1 + e^4) + ln(1 + e^-24)) / 2.
    refined, local = torch.tensor([[[2., 0.], [0., 3.]]]), torch.tensor([[[1., 0.], [3., 4.]]])
    assert RefinerLoss(temperature=1)(refined, local).item() == pytest.approx((0.513015 + 0.371101) / 2, abs=1e-6)
    assert RefinerLoss(temperature=0.5)(refined, local).item() == pytest.approx((0.371101 + 0.183900) / 2, abs=1e-6)
    assert RefinerLoss('cosine')(refined, local).item() == pytest.approx(-0.9, abs=1e-6)
    dots = RefinerLoss(temperature=1, normalise=False)(refined, torch.tensor([[[1., 0.], [3., 8.]]]))
    assert dots.item() == pytest.approx(4.018150 / 2, abs=1e-6)


@EACH_OBJECTIVE
@pytest.mark.parametrize('normalise', [True, False])
def test_gradients(objective, normalise):
    loss, local = RefinerLoss(objective, 0.5, normalise), tokens(3, 4, 5, seed=1)
    assert torch.autograd.gradcheck(lambda z: loss(z, local), tokens(3, 4, 5).requires_grad_())


@EACH_OBJECTIVE
def test_lengths_change_nothing_and_permuted_tokens_raise_the_loss(objective):
    loss, local = RefinerLoss(objective), tokens(3, 6, 8)
    value = loss(local, local).item()
    assert loss(5 * local, local / 3).item() == pytest.approx(value, abs=1e-12)
    if objective == 'cosine':
        assert value == pytest.approx(-1, abs=1e-12)
    for shift in range(1, 6):
        assert loss(local.roll(shift, 1), local) > value + 0.1
        assert loss(local.roll(shift, 1), local.roll(shift, 1)).item() == pytest.approx(value, abs=1e-12)


@EACH_OBJECTIVE
def test_negatives_come_from_the_same_crop_only(objective):
    loss, refined, local = RefinerLoss(objective), tokens(3, 6, 8), tokens(3, 6, 8, seed=1)
    alone = [loss(r[None], z[None]).item() for r, z in zip(refined, local)]
    assert loss(refined, local).item() == pytest.approx(sum(alone) / 3, abs=1e-12)


def test_contrast_pushes_negatives_away_and_cosine_does_not():
    refined = torch.tensor([[[1., 0., 0.], [0., 1., 0.]]], dtype=torch.float64)
    near = torch.tensor([[[1., 0., 0.], [0.6, 0.8, 0.]]], dtype=torch.float64)
    far = torch.tensor([[[1., 0., 0.], [0., 0.8, 0.6]]], dtype=torch.float64)
    assert RefinerLoss()(refined, near) > RefinerLoss()(refined, far) + 1e-3
    assert RefinerLoss('cosine')(refined, near).item() == pytest.approx(RefinerLoss('cosine')(refined, far).item())


def test_chosen_negatives():
    loss, refined, local = RefinerLoss(temperature=0.5), tokens(3, 6, 8), tokens(3, 6, 8, seed=1)
    chosen = tokens(3, 6, 6, seed=2) > 0
    assert loss(refined, local, chosen).item() == pytest.approx(slow_refiner_loss(refined, local, loss, chosen))
    assert loss(refined, local, torch.ones(3, 6, 6, dtype=torch.bool)) == loss(refined, local)
    none = refined.requires_grad_()
    value = loss(none, local, torch.zeros(3, 6, 6, dtype=torch.bool))
    value.backward()
    assert value == 0 and not none.grad.any()  # nothing to tell a token from


def test_chosen_negatives_must_fit():
    with pytest.raises(ValueError, match=r'found negatives \(2, 5, 5\), expected \(2, 4, 4\): \(K, L, L\)'):
        RefinerLoss()(torch.zeros(2, 4, 5), torch.zeros(2, 4, 5), torch.ones(2, 5, 5, dtype=torch.bool))
    with pytest.raises(ValueError, match="'objective': found 'cosine' with chosen negatives, expected 'info_nce'"):
        RefinerLoss('cosine')(torch.zeros(2, 4, 5), torch.zeros(2, 4, 5), torch.ones(2, 4, 4, dtype=torch.bool))


@EACH_OBJECTIVE
def test_no_region_gives_zero_with_a_graph(objective):
    weight = torch.ones(8, requires_grad=True)
    value = RefinerLoss(objective)(torch.zeros(0, 16, 8) * weight, torch.zeros(0, 16, 8))
    value.backward()
    assert value == 0 and torch.equal(weight.grad, torch.zeros(8))


@EACH_OBJECTIVE
@pytest.mark.parametrize('normalise', [True, False])
def test_float32_under_autocast(objective, normalise):
    loss = RefinerLoss(objective, normalise=normalise)
    refined, local = (tokens(5, 9, 16, seed=s).bfloat16().requires_grad_() for s in (0, 1))
    with torch.autocast('cpu', torch.bfloat16):
        value = loss(refined, local.detach())
    value.backward()
    assert value.dtype == torch.float32 and value == loss(refined.float(), local.float())
    assert refined.grad.isfinite().all() and refined.grad.abs().max() > 0


@pytest.mark.parametrize('fields, expected', [
    (dict(objective='l2'), r"'objective': found 'l2', expected one of \['cosine', 'info_nce'\]"),
    (dict(temperature=0), "'temperature': found 0, expected a positive"),
])
def test_bad_fields(fields, expected):
    with pytest.raises(ValueError, match='RefinerLoss field ' + expected):
        RefinerLoss(**fields)


@pytest.mark.parametrize('shape', [(3, 4, 5), (2, 9, 5), (2, 4, 6)])
def test_bad_shapes(shape):
    with pytest.raises(ValueError, match=r'found refined tokens \(2, 4, 5\) and local tokens \(\d, \d, \d\), expected'):
        RefinerLoss()(torch.zeros(2, 4, 5), torch.zeros(shape))
