import copy

import pytest
import torch

from rsc_mm.models.backbones import attention
from rsc_mm.models.backbones.attention import PLAIN_UP_TO, choose_kernel
from rsc_mm.models.backbones.blocks import run_block
from tests.towers import tiny_eva


@pytest.mark.parametrize('device, dtype, tokens, fused', [
    ('cpu', torch.bfloat16, PLAIN_UP_TO, False),
    ('cpu', torch.bfloat16, PLAIN_UP_TO + 1, True),
    ('cpu', torch.float32, 10, True),
    ('meta', torch.bfloat16, 10, True),  # stands for any other device
])
def test_kernel_by_device_dtype_and_length(device: str, dtype: torch.dtype, tokens: int, fused: bool) -> None:
    attn = tiny_eva().vit.blocks[0].attn
    choose_kernel(attn, torch.zeros(1, tokens, 8, device=device, dtype=dtype))
    assert attn.fused_attn is fused


def test_autocast_decides_the_dtype_and_the_kernels_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    block, rope = tiny_eva().vit.blocks[0], None
    tokens = torch.randn(2, 17, block.norm1.weight.numel(), generator=torch.Generator().manual_seed(0))
    with torch.autocast('cpu', torch.bfloat16):
        plain = run_block(block, tokens, rope)
        assert not block.attn.fused_attn
        monkeypatch.setattr(attention, 'PLAIN_UP_TO', 0)
        fused = run_block(block, tokens, rope)
        assert block.attn.fused_attn
    torch.testing.assert_close(plain, fused, rtol=0, atol=0.05)
    run_block(block, tokens, rope)
    assert block.attn.fused_attn


@pytest.mark.filterwarnings('ignore:The .grad attribute of a Tensor:UserWarning')  # torch.compile about itself
def test_compiled_blocks_compute_the_same_and_a_teacher_is_compiled_too() -> None:
    torch.manual_seed(0)
    plain, compiled = tiny_eva(), tiny_eva(compile=dict(backend='eager'))
    compiled.load_state_dict(plain.state_dict())
    images = torch.randn(1, 3, 32, 48)
    torch.testing.assert_close(compiled.encode_dense(images), plain.encode_dense(images), rtol=0, atol=1e-5)
    teacher = copy.deepcopy(compiled).freeze()
    for tower in (compiled, teacher):
        is_compiled = [block._compiled_call_impl is not None for block in tower.vit.blocks]
        assert is_compiled == [True] * (tower.depth - 1) + [False]
    assert compiled.state_dict().keys() == plain.state_dict().keys()
