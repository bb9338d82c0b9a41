import pytest
import torch
from torch.nn import functional as F

from rsc_mm.models.heads import class_probabilities, dense_scores, label_cosines, label_map, text_cosines


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_cosines_are_those_of_a_slow_loop_on_a_rectangle_and_any_batch():
    dense, texts = 3 * random(2, 5, 3, 4), 7 * random(6, 5, seed=1)
    found = text_cosines(dense, texts)
    for b in range(2):
        for q in range(6):
            for y in range(3):
                for x in range(4):
                    expected = F.cosine_similarity(dense[b, :, y, x], texts[q], dim=0)
                    torch.testing.assert_close(found[b, q, y, x], expected)


def test_cosines_are_float32_under_autocast_and_a_zero_feature_is_no_nan():
    with torch.autocast('cpu', torch.bfloat16):
        found = text_cosines(torch.zeros(1, 4, 2, 2).bfloat16(), random(3, 4))
    assert found.dtype == torch.float and torch.equal(found, torch.zeros(1, 3, 2, 2))


def test_probabilities_by_hand():
    """Three queries, the first two are synonyms: softmax of ln 1, ln 2, ln 5 is 1/8, 2/8, 5/8; the best of two 2/8."""
    cosines = torch.tensor([1., 2., 5.]).log().view(3, 1, 1) / 10  # (3, 1, 1)
    found = class_probabilities(cosines, [2, 1], 10.)
    torch.testing.assert_close(found.flatten(), torch.tensor([2 / 8, 5 / 8]))
    found = class_probabilities(cosines, [0, 1, 0, 2], 10.)
    torch.testing.assert_close(found.flatten(), torch.tensor([0, 1 / 8, 0, 5 / 8]))


def test_one_query_a_class_is_a_plain_softmax_and_more_of_the_same_synonym_halve_it():
    cosines = random(2, 4, 3, 5)
    torch.testing.assert_close(class_probabilities(cosines, [1] * 4, 7.), (7 * cosines).softmax(dim=1))
    twice = class_probabilities(cosines[:, :1].repeat(1, 4, 1, 1), [2, 2], 7.)
    torch.testing.assert_close(twice, torch.full((2, 2, 3, 5), 0.25))


def test_wrong_counts_are_named():
    with pytest.raises(ValueError, match='counts: found 3 queries of 2 classes, expected 4'):
        class_probabilities(random(4, 2, 2), [1, 2], 1.)


def test_the_background_takes_what_is_below_the_threshold():
    probabilities = torch.tensor([[0.1, 0.2], [0.5, 0.39], [0.4, 0.41]])[:, None]  # (3, 1, 2)
    assert label_map(probabilities).tolist() == [[1, 2]]
    assert label_map(probabilities, background=0, threshold=0.45).tolist() == [[1, 0]]
    assert label_map(probabilities, background=None, threshold=0.9).tolist() == [[1, 2]]


@pytest.mark.parametrize('size', [(7, 5), (23, 40), (12, 9), (1, 1)])
def test_labels_in_strips_are_those_of_the_whole(size, monkeypatch):
    cosines = F.interpolate(random(1, 6, 4, 3), (12, 9), mode='bilinear')[0]
    resized = F.interpolate(cosines[None], size, mode='bilinear', align_corners=False)[0]
    probabilities = class_probabilities(resized, [2, 0, 3, 1], 20.)
    monkeypatch.setattr(dense_scores, 'STRIP_VALUES', 3 * 6 * size[1])  # three rows
    strips = list(dense_scores._resized_strips(cosines, size, 3))
    assert max(strip.shape[1] for strip in strips) <= 3
    torch.testing.assert_close(torch.cat(strips, dim=1), resized)
    found = label_cosines(cosines, size, [2, 0, 3, 1], 20., background=1, threshold=0.3)
    expected = label_map(probabilities, 1, 0.3)
    assert found.shape == size and (found == expected).float().mean() > 0.99
