import math

import pytest
import torch
from torch.nn import functional as F

from rsc_mm.evaluation import coupled_cosines, coupling_ratio, coupling_ratio_of_means, summarise_coupling


def pair(seed: int, *shape: int) -> list[torch.Tensor]:
    """Tokens of A and B, beside and alone, in one cone, as CLIP's are."""
    g = torch.manual_seed(seed)
    return [torch.randn(*shape, generator=g, dtype=torch.double) + 2 for _ in range(4)]


def slow(a_ab: torch.Tensor, b_ab: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> tuple[list, list]:
    """Token by token."""
    coupled, alone = [], []
    for i in range(len(a)):
        similarity = [F.cosine_similarity(a_ab[i], b_ab[k], dim=0).item() for k in range(len(b))]
        j = similarity.index(max(similarity))
        coupled.append(similarity[j])
        alone.append(F.cosine_similarity(a[i], b[j], dim=0).item())
    return coupled, alone


def test_by_hand() -> None:
    # Beside each other, A's first token equals B's second; alone their cosine is 0.6. A's second token's best partner
    # is B's second as well, with 0.8; alone 0.8, unchanged.
    a_ab, b_ab = torch.tensor([[1., 0], [0.8, 0.6]]), torch.tensor([[0., 1], [1, 0]])
    a, b = torch.tensor([[0.6, 0.8], [0.8, 0.6]]), torch.tensor([[0., 1], [1, 0]])
    coupled, alone = coupled_cosines(a_ab, b_ab, a, b)
    torch.testing.assert_close(coupled, torch.tensor([1., 0.8]))
    torch.testing.assert_close(alone, torch.tensor([0.6, 0.8]))
    assert coupling_ratio(a_ab, b_ab, a, b).item() == pytest.approx((1 / 0.6 + 1) / 2)
    assert coupling_ratio_of_means(a_ab, b_ab, a, b).item() == pytest.approx(1.8 / 1.4)


def test_many_pairs_equal_a_slow_version() -> None:
    tokens = pair(0, 3, 5, 4)
    tokens[1], tokens[3] = (torch.cat([x, x.flip(2)], dim=1) for x in tokens[1::2])  # B has more tokens than A
    ratios, of_means = coupling_ratio(*tokens), coupling_ratio_of_means(*tokens)
    for p in range(3):
        coupled, alone = slow(*(x[p] for x in tokens))
        assert ratios[p].item() == pytest.approx(sum(n / d for n, d in zip(coupled, alone)) / 5, abs=1e-9)
        assert of_means[p].item() == pytest.approx(sum(coupled) / sum(alone), abs=1e-9)


def test_without_context_both_are_exactly_one() -> None:
    a, b = pair(1, 2, 6, 5)[:2]
    assert torch.equal(coupling_ratio(a, b, a, b), torch.ones(2, dtype=torch.double))
    assert torch.equal(coupling_ratio_of_means(a, b, a, b), torch.ones(2, dtype=torch.double))


def test_a_shared_shift_couples_and_scale_does_not_matter() -> None:
    a, b = pair(2, 2, 6, 5)[:2]
    assert (coupling_ratio(a + 3, b + 3, a, b) > 1.02).all()
    torch.testing.assert_close(coupling_ratio(5 * a, b / 7, a, 3 * b), torch.ones(2, dtype=torch.double))


def test_one_denominator_near_zero_rules_the_mean_of_ratios_alone() -> None:
    a, b = torch.tensor([[1., 0], [1, 1]]), torch.tensor([[1e-6, 1.], [1e-6, 1]])
    a_ab, b_ab = torch.tensor([[1., 1], [1, 1]]), b
    assert coupling_ratio(a_ab, b_ab, a, b).item() > 1e5
    assert coupling_ratio_of_means(a_ab, b_ab, a, b).item() == pytest.approx(2, rel=1e-4)


def test_half_precision_is_compared_in_float32() -> None:
    tokens = [x.bfloat16() for x in pair(3, 4, 3)]
    with torch.autocast('cpu', torch.bfloat16):
        ratio = coupling_ratio(*tokens)
    assert ratio.dtype == torch.float32
    assert torch.equal(ratio, coupling_ratio(*(x.float() for x in tokens)))


def test_summary() -> None:
    coupled, alone = torch.tensor([[0.9, 0.6], [0.8, 0.4]]), torch.tensor([[0.6, 0.6], [0.02, 0.5]])
    figures = summarise_coupling(coupled, alone)
    first, second = (1.5 + 1) / 2, (40 + 0.8) / 2
    assert figures['coupling_ratio'] == pytest.approx((first + second) / 2, rel=1e-6)
    # Two values: their standard deviation is |difference| / sqrt(2), the standard error half the difference.
    assert figures['coupling_ratio_stderr'] == pytest.approx((second - first) / 2, rel=1e-6)
    of_means = 2.7 / 1.72
    assert figures['coupling_ratio_of_means'] == pytest.approx(of_means, rel=1e-6)
    residuals = [(1.5 - of_means * 1.2) / 2 / 0.43, (1.2 - of_means * 0.52) / 2 / 0.43]
    assert figures['coupling_ratio_of_means_stderr'] == pytest.approx(abs(residuals[0] - residuals[1]) / 2, rel=1e-5)
    assert figures['coupling_ratio_median'] == pytest.approx(1)  # the lower one of the middle two
    assert figures['denominators_below_0.05'] == 0.25 and figures['pairs'] == 2
    assert math.isnan(summarise_coupling(coupled[:1], alone[:1])['coupling_ratio_stderr'])


def test_other_numbers_of_tokens_are_refused() -> None:
    with pytest.raises(ValueError, match=r'found tokens of A \(4, 3\) and \(5, 3\), of B .* the same shape'):
        coupled_cosines(torch.ones(4, 3), torch.ones(5, 3), torch.ones(5, 3), torch.ones(5, 3))
