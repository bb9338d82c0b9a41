import math

import pytest
import torch
from torch.nn import functional as F

from rsc_mm.models import PixelBCELoss


def test_worked_by_hand_with_an_ignored_pixel():
    """Two pixels, two classes: the first is of class 1, the second of none."""
    logits = torch.tensor([[[[0., math.log(3)]], [[math.log(3), 0.]]]])  # (1, 2, 1, 2)
    labels = torch.tensor([[[1, 255]]])
    # -log(1 - s(0)) = log 2 and -log s(log 3) = log 4/3; the ignored pixel: -log(1 - s(log 3)) = log 4 and log 2
    first, ignored = math.log(2) + math.log(4 / 3), math.log(4) + math.log(2)
    assert PixelBCELoss('negative')(logits, labels).item() == pytest.approx((first + ignored) / 4, abs=1e-6)
    assert PixelBCELoss('mask')(logits, labels).item() == pytest.approx(first / 2, abs=1e-6)
    assert PixelBCELoss('mask', loss_weight=3.)(logits, labels).item() == pytest.approx(3 * first / 2, abs=1e-6)


def draw() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 5, (2, 6, 7), generator=generator)
    labels[:, :2] = 255
    return 4 * torch.randn(2, 5, 6, 7, generator=generator), labels


def public_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The published formula: all-zero targets where ignored, a plain mean over B, H, W and T."""
    logits = logits.permute(0, 2, 3, 1)
    targets = torch.zeros_like(logits)
    targets[labels != 255] = F.one_hot(labels[labels != 255], logits.shape[-1]).to(logits)
    return F.binary_cross_entropy_with_logits(logits, targets)


def test_equals_the_public_formula():
    logits, labels = draw()
    torch.testing.assert_close(PixelBCELoss()(logits, labels), public_loss(logits, labels))
    kept = (labels != 255)[:, None].expand_as(logits)
    masked = F.binary_cross_entropy_with_logits(
        logits, F.one_hot(labels.clamp(max=4), 5).permute(0, 3, 1, 2).float(), reduction='none')[kept].mean()
    torch.testing.assert_close(PixelBCELoss('mask')(logits, labels), masked)


@pytest.mark.parametrize('ignore', ['negative', 'mask'])
def test_gradient(ignore):
    logits, labels = draw()
    logits = logits[:1, :, :3, :2].double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: PixelBCELoss(ignore)(x, labels[:1, :3, :2]), logits)


def test_ignored_pixels_have_no_gradient_under_mask():
    logits, labels = draw()
    for ignore, moved in (('negative', True), ('mask', False)):
        leaf = logits.clone().requires_grad_()
        PixelBCELoss(ignore)(leaf, labels).backward()
        assert bool(leaf.grad[:, :, :2].abs().sum() > 0) is moved


def test_nothing_but_ignored_pixels():
    logits, labels = draw()
    leaf = logits.requires_grad_()
    loss = PixelBCELoss('mask')(leaf, labels.fill_(255))
    loss.backward()
    assert loss.item() == 0 and not leaf.grad.any()


def test_half_precision_is_computed_in_float32():
    logits, labels = draw()
    loss = PixelBCELoss()(logits.bfloat16(), labels)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, PixelBCELoss()(logits.bfloat16().float(), labels))
    assert PixelBCELoss()(torch.full((1, 2, 1, 1), -100.), torch.zeros(1, 1, 1, dtype=torch.long)).isfinite()


def test_bad_fields_and_labels_are_named():
    with pytest.raises(ValueError, match="field 'ignore': found 'zero', expected 'negative' or 'mask'"):
        PixelBCELoss('zero')
    logits, labels = draw()
    with pytest.raises(ValueError, match='found labels 0 to 4, expected 0 to 2 for 3 classes, or 255'):
        PixelBCELoss()(logits[:, :3], labels)
