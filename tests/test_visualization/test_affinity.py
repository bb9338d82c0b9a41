import pytest
import torch
from torch.nn import functional as F

from rsc_mm.visualization import affinity_map, colour_range, token_at


def test_affinity_by_hand_and_against_a_slow_version() -> None:
    dense = torch.tensor([[[1., 0, 3]], [[0., 2, 3]]])  # tokens (1, 0), (0, 2), (3, 3)
    torch.testing.assert_close(affinity_map(dense, 0, 0), torch.tensor([[1., 0, 0.5**0.5]]))
    dense = torch.randn(5, 3, 4)
    affinity = affinity_map(dense, 2, 1)
    for row in range(3):
        for column in range(4):
            expected = F.cosine_similarity(dense[:, 2, 1], dense[:, row, column], dim=0)
            assert affinity[row, column].item() == pytest.approx(expected.item(), abs=1e-6)
    assert affinity[2, 1].item() == pytest.approx(1)


def test_half_precision_is_compared_in_float32() -> None:
    dense = torch.randn(5, 3, 4).bfloat16()
    assert torch.equal(affinity_map(dense, 0, 0), affinity_map(dense.float(), 0, 0))


@pytest.mark.parametrize('point, expected', [((0, 0), (0, 0)), ((99, 49), (7, 15)), ((50, 25), (4, 8)),
                                             ((11, 6), (1, 1)), ((12, 6), (1, 2))])
def test_points_of_a_resized_image(point: tuple, expected: tuple) -> None:
    # 100 x 50 pixels become 128 x 64, which are 16 x 8 tokens of 8 px: a token is 6.25 pixels wide.
    assert token_at(point, (50, 100), (64, 128), 8) == expected


@pytest.mark.parametrize('point', [(100, 10), (10, 50), (-1, 10), (10, -0.1)])
def test_points_outside_are_refused_with_the_size(point: tuple) -> None:
    with pytest.raises(ValueError, match=r'found x,y = .* x in 0..99 and y in 0..49 .* width x height 100 x 50'):
        token_at(point, (50, 100), (64, 128), 8)


def test_colours_run_over_whole_tokens_without_the_query():
    affinity = torch.tensor([[1., 0.5, -0.9], [0.2, 0.4, -0.8], [-1, -1, -1]])
    assert colour_range(affinity, 0, 0, (2, 2)) == (pytest.approx(0.2), 0.5)
    assert colour_range(affinity, 0, 0) == (-1, 0.5)
    assert colour_range(affinity, 2, 2, (2, 2)) == (pytest.approx(0.2), 1)  # a query in the border
    assert colour_range(torch.ones(1, 1), 0, 0) == (1, 1)
