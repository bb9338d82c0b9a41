import torch

from rsc_mm.models.heads import fuse_scores, spread_scores


def test_spread_by_hand():
    """Of three classes the detector calls the first 1 and the last 0; the second it does not know."""
    found = spread_scores(torch.tensor([0.9, 0.4]), torch.tensor([0, 1]), torch.tensor([1, -1, 0]))
    assert torch.equal(found, torch.tensor([[0., 0.9, 0.9], [0.4, 0.4, 0.]]))
    assert spread_scores(torch.zeros(0), torch.zeros(0, dtype=torch.long), torch.tensor([0, -1])).shape == (0, 2)


def test_fusion_of_spread_scores_by_hand():
    """s = p^(1 - g) q^g: 0.81^0.5 0.25^0.5 = 0.45 for the base class, 0.81^0 0.75^1 for the novel one."""
    p = spread_scores(torch.tensor([0.81]), torch.tensor([0]), torch.tensor([0, -1, 1]))
    fused = fuse_scores(p, torch.tensor([[0.25, 0.75, 0.5]]), torch.tensor([True, False, True]), 0.5, 1.)
    assert torch.allclose(fused, torch.tensor([[0.45, 0.75, 0.]]))
