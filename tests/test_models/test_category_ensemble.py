import pytest
import torch

from rsc_mm.models.heads import ensemble_categories

LOGITS = torch.tensor([[2., 1., 0., 0.5], [-1., 3., 1., 2.]])
CLIP = torch.tensor([[0., 4., 1.], [2., 2., 0.]])
SEEN = torch.tensor([True, False, True])


def test_a_hand_worked_mask():
    # p = (1/2, 1/2) without no object, whose share is 1/3; q = (4/5, 1/5); seen and unseen by the square root.
    logits, clip = torch.zeros(1, 3), torch.tensor([[4., 1.]]).log()
    found = ensemble_categories(logits, clip, torch.tensor([True, False]), 0.5, 0.5)
    # sqrt(1/2 * 4/5) : sqrt(1/2 * 1/5) = 2 : 1
    torch.testing.assert_close(found, torch.tensor([[4 / 9, 2 / 9, 1 / 3]]))


def test_the_ends_are_the_head_and_clip():
    head, clip = LOGITS.softmax(-1), CLIP.softmax(-1)
    torch.testing.assert_close(ensemble_categories(LOGITS, CLIP, SEEN, 0., 0.), head)
    alone = ensemble_categories(LOGITS, CLIP, SEEN, 1., 1.)
    torch.testing.assert_close(alone[:, :3], clip * (1 - head[:, 3:]))


def test_it_adds_up_to_one_and_follows_the_classes():
    found = ensemble_categories(LOGITS, CLIP, SEEN, 0.4, 0.8)
    torch.testing.assert_close(found.sum(-1), torch.ones(2))
    order = torch.tensor([2, 0, 1])
    moved = ensemble_categories(torch.cat([LOGITS[:, order], LOGITS[:, 3:]], 1), CLIP[:, order], SEEN[order], 0.4, 0.8)
    torch.testing.assert_close(moved[:, :3], found[:, order])


def test_head_and_clip_sure_of_different_classes():
    """Every product is 0 in float32: p = (1, 0), q = (0, 1)."""
    found = ensemble_categories(torch.tensor([[300., 0., 0.]]), torch.tensor([[0., 200.]]), SEEN[:2], 0.5, 0.5)
    torch.testing.assert_close(found, torch.tensor([[1., 0., 0.]]))  # the head is surer: e^(-100 + 150)
    found = ensemble_categories(torch.tensor([[300., 0., 300.]]), torch.tensor([[0., 300.]]), SEEN[:2], 0.5, 0.5)
    torch.testing.assert_close(found, torch.tensor([[0.25, 0.25, 0.5]]))


@pytest.mark.parametrize('alpha', [0., 0.4])
def test_a_probability_of_zero_is_no_nan(alpha):
    logits = torch.tensor([[0., -torch.inf, 1., 0.]])
    found = ensemble_categories(logits, CLIP[:1], SEEN, alpha, 0.)
    assert found.isfinite().all() and found[0, 1] == 0
