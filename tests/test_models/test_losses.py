import pytest
import torch
from torch.nn import functional as F

from rsc_mm.models.losses import RegionAlignmentLoss, RegionTextLoss


def test_alignment_by_hand():
    student = torch.tensor([[2., 0.], [3., 4.]])
    target = torch.tensor([[0., 5.], [1., 0.]])
    assert RegionAlignmentLoss()(student, target).item() == pytest.approx(1 - (0 + 0.6) / 2)


def test_alignment_against_slow_version_and_invariances():
    student, target = torch.randn(2, 7, 5, dtype=torch.float64)
    loss = RegionAlignmentLoss()
    slow = sum(1 - (s @ t) / (s @ s).sqrt() / (t @ t).sqrt() for s, t in zip(student, target)) / 7
    assert loss(student, target) == pytest.approx(slow.item(), abs=1e-12)
    assert loss(3 * student, target / 7) == pytest.approx(slow.item(), abs=1e-12)
    assert loss(target, target) == pytest.approx(0, abs=1e-12)
    assert loss(target.roll(1, 0), target) > 0.1


def test_gradients():
    student, target = torch.randn(2, 3, 4, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda s: RegionAlignmentLoss()(s, target), student.requires_grad_())
    text = RegionTextLoss(logit_scale=2., num_classes=3)
    nouns = F.normalize(torch.randn(6, 4, dtype=torch.float64), dim=1)
    assert torch.autograd.gradcheck(lambda s: text(s, torch.tensor([1, 5, 1]), nouns), student)


@pytest.mark.parametrize('loss', [
    lambda z: RegionAlignmentLoss()(z, torch.zeros(0, 4)),
    lambda z: RegionTextLoss()(z, torch.zeros(0, dtype=torch.long), torch.eye(4)),
])
def test_no_region_gives_zero_with_a_graph(loss):
    weight = torch.ones(4, requires_grad=True)
    value = loss(torch.zeros(0, 4) * weight)
    value.backward()
    assert value == 0
    assert torch.equal(weight.grad, torch.zeros(4))


def test_region_text_by_hand():
    # One region on its noun, logits 2 and 0: BCE = ln(1 + e^-2) + ln 2.
    loss = RegionTextLoss(logit_scale=2., num_classes=2)
    value = loss(torch.tensor([[1., 0.]]), torch.tensor([0]), torch.eye(2))
    assert value.item() == pytest.approx(0.126928 + 0.693147, abs=1e-5)


def test_region_text_against_slow_version():
    loss = RegionTextLoss(logit_scale=3., num_classes=4)
    regions, labels = torch.randn(5, 8, dtype=torch.float64), torch.tensor([9, 2, 2, 7, 9])
    nouns = F.normalize(torch.randn(12, 8, dtype=torch.float64), dim=1)
    classes = loss.sample_classes(labels, 12, seed=3).tolist()
    slow = 0.
    for z, y in zip(regions, labels.tolist()):
        for t in classes:
            p = torch.sigmoid(3 * z @ nouns[t])
            slow -= (p if t == y else 1 - p).log()
    assert loss(regions, labels, nouns, seed=3).item() == pytest.approx(slow.item() / 5, abs=1e-9)


def test_sampled_classes_hold_the_present_nouns_and_repeat_by_seed():
    loss, labels = RegionTextLoss(num_classes=10), torch.tensor([40, 3, 40, 99])
    first = loss.sample_classes(labels, 100, seed=1)
    assert {3, 40, 99} <= set(first.tolist()) and len(first) == len(set(first.tolist())) == 10
    assert torch.equal(first, loss.sample_classes(labels, 100, seed=1))
    assert not torch.equal(first, loss.sample_classes(labels, 100, seed=2))
    assert len(loss.sample_classes(torch.arange(50), 100, seed=1)) == 50
    assert torch.equal(loss.sample_classes(labels, 100, 1), loss.sample_classes(labels.flip(0), 100, 1))
    assert torch.equal(RegionTextLoss().sample_classes(torch.tensor([1]), 7, 0), torch.arange(7))


def test_losses_are_float32_under_autocast():
    student, target = torch.randn(2, 3, 4)
    with torch.autocast('cpu', torch.bfloat16):
        value = RegionAlignmentLoss()(student.bfloat16(), target.bfloat16())
        text = RegionTextLoss()(student, torch.tensor([0, 1, 2]), torch.eye(4))
    assert value.dtype == text.dtype == torch.float32
    assert text == RegionTextLoss()(student, torch.tensor([0, 1, 2]), torch.eye(4))
