import sys

import pytest
import torch

from rsc_mm.evaluation import segment_auc


def slow_auc(tokens: torch.Tensor, segments: list[int]) -> float:
    cosine = torch.nn.functional.cosine_similarity
    pairs = [(i, j) for i in range(len(tokens)) for j in range(i)]
    same = [cosine(tokens[i], tokens[j], dim=0) for i, j in pairs if segments[i] == segments[j]]
    other = [cosine(tokens[i], tokens[j], dim=0) for i, j in pairs if segments[i] != segments[j]]
    return sum(bool(a > b) for a in same for b in other) / (len(same) * len(other))


def test_auc_by_hand():
    # Tokens 0 and 1 are alike, 2 is between, 3 opposite; same-segment pairs (0, 1): 1.0 and (2, 3): -0.6 against
    # (0, 2), (1, 2): 0.6 and (0, 3), (1, 3): -1: of 2 x 4 comparisons 4 + 2 are won.
    tokens = torch.tensor([[[1., 0.], [2., 0.], [0.6, 0.8], [-1., 0.]]])
    assert segment_auc(tokens, torch.tensor([[0, 0, 1, 1]])).tolist() == pytest.approx([6 / 8])


def test_auc_against_a_slow_version_and_its_invariances():
    tokens, segments = torch.randn(3, 9, 5), torch.randint(3, (3, 9))
    values = segment_auc(tokens, segments)
    assert values.tolist() == pytest.approx([slow_auc(z, s.tolist()) for z, s in zip(tokens, segments)])
    rotation = torch.linalg.qr(torch.randn(5, 5))[0]
    assert torch.allclose(segment_auc(3 * tokens @ rotation, segments + 7), values)
    perfect = torch.nn.functional.one_hot(segments, 3).float() + 0.01 * torch.rand(3, 9, 3)
    assert torch.equal(segment_auc(perfect, segments), torch.ones(3, dtype=torch.double))


def test_auc_of_one_segment_says_nothing_and_shapes_must_fit():
    assert segment_auc(torch.randn(1, 4, 3), torch.zeros(1, 4, dtype=torch.long)).isnan().all()
    assert segment_auc(torch.randn(0, 4, 3), torch.zeros(0, 4, dtype=torch.long)).shape == (0, )
    with pytest.raises(ValueError, match=r'found tokens \(2, 4, 3\) and segments \(2, 5\)'):
        segment_auc(torch.randn(2, 4, 3), torch.zeros(2, 5, dtype=torch.long))


def test_equal_cosines_count_half():
    assert segment_auc(torch.ones(1, 4, 3), torch.tensor([[0, 0, 1, 1]])).tolist() == [0.5]
    # (0, 1): same, cosine 1; (0, 2) and (1, 2): other, cosines 1 and 1: two ties.
    assert segment_auc(torch.tensor([[[1., 0], [2, 0], [3, 0]]]), torch.tensor([[0, 0, 1]])).tolist() == [0.5]


def test_without_scikit_learn_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, 'sklearn.metrics', None)
    with pytest.raises(ImportError, match=r"The segment AUC needs scikit-learn, .*'\.\[vis\]'"):
        segment_auc(torch.randn(1, 4, 3), torch.tensor([[0, 0, 1, 1]]))
