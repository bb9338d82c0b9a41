import pytest
import torch

from rsc_mm.models.backbones.blocks import run_block
from rsc_mm.models.backbones.windows import run_in_windows, window_tokens
from tests.towers import tiny_eva, tiny_vit

EACH_TOWER = pytest.mark.parametrize('build', [tiny_eva, tiny_vit])


def test_every_token_is_in_one_window():
    groups = window_tokens((5, 4), 2, torch.device('cpu'))  # rows 3 + 2, columns 2 + 2
    assert [group.tolist() for group in groups] == [[[0, 1, 4, 5, 8, 9], [2, 3, 6, 7, 10, 11]],
                                                    [[12, 13, 16, 17], [14, 15, 18, 19]]]
    small = window_tokens((1, 3), 4, torch.device('cpu'))  # fewer tokens than windows
    assert sorted(torch.cat([group.flatten() for group in small]).tolist()) == [0, 1, 2]


@torch.no_grad()
@EACH_TOWER
def test_a_block_against_a_slow_version(build):
    """Each window alone, with a copy of the class token and the rotary positions of its place in the image."""
    tower, grid = build(), (5, 4)
    tokens, rope, _ = tower._embed(torch.randn(2, 3, 80, 64))
    block = tower.vit.blocks[0]
    expected, classes = torch.empty_like(tokens), []
    for rows in ([0, 1, 2], [3, 4]):
        for columns in ([0, 1], [2, 3]):
            places = torch.tensor([row * 4 + column for row in rows for column in columns])
            window = torch.cat([tokens[:, :1], tokens[:, 1 + places]], dim=1)
            out = run_block(block, window, None if rope is None else rope[places])
            expected[:, 1 + places] = out[:, 1:]
            classes.append(out[:, 0])
    expected[:, 0] = sum(classes) / 4
    found = run_in_windows(block, tokens, rope, window_tokens(grid, 2, tokens.device), 1)
    assert torch.allclose(found, expected, atol=1e-5)


@torch.no_grad()
@EACH_TOWER
def test_only_dense_maps_have_windows(build):
    plain, tower, x = build(), build(windows=2), torch.randn(2, 3, 48, 80)
    assert torch.equal(tower.encode_image(x), plain.encode_image(x))
    assert not torch.allclose(tower.encode_dense(x), plain.encode_dense(x), atol=1e-2)
    assert torch.equal(build(windows=1).encode_dense(x), plain.encode_dense(x))
    assert tower(x)[0].shape == plain(x)[0].shape


@EACH_TOWER
def test_gradients_with_activation_checkpointing_too(build):
    gradients = []
    for with_cp in (False, True):
        tower = build(windows=4, with_cp=with_cp).train()
        tower.encode_dense(torch.ones(1, 3, 48, 64))[:, 0].sum().backward()
        gradients.append({n: p.grad for n, p in tower.named_parameters() if p.requires_grad})
    assert all(g is not None and torch.allclose(g, gradients[1][n], atol=1e-6) for n, g in gradients[0].items())


def test_bfloat16_and_bad_field():
    with torch.autocast('cpu', torch.bfloat16):
        assert tiny_eva(windows=2).encode_dense(torch.randn(1, 3, 48, 64)).isfinite().all()
    with pytest.raises(ValueError, match="'windows': found 0, expected at least 1"):
        tiny_eva(windows=0)
