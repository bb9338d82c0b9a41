"""Time, memory and arithmetic of a process."""
import time
from pathlib import Path

import torch
from mmengine.device import get_device
from mmengine.logging import MMLogger
from torch.utils.flop_counter import sdpa_backward_flop_count, sdpa_flop_count


def forward_attention(q: tuple, k: tuple, v: tuple, *args: object, **kwargs: object) -> int:
    """FLOPs of the CPU's fused attention, which torch's counter does not know.

    Args:
        q, k, v: shapes (B, heads, N, c).
        args, kwargs: not used.
    """
    return sdpa_flop_count(q, k, v)


def backward_attention(gradient: tuple, q: tuple, k: tuple, v: tuple, *args: object, **kwargs: object) -> int:
    """FLOPs of its backward pass.

    Args:
        gradient, q, k, v: shapes (B, heads, N, c).
        args, kwargs: not used.
    """
    return sdpa_backward_flop_count(gradient, q, k, v)


CPU_ATTENTION = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: forward_attention,
                 torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: backward_attention}


def matrix_rate(dtype: torch.dtype, size: int = 2048) -> float:
    """FLOP/s of a large matrix product here, the best of several.

    Args:
        dtype: of the operands.
        size: side of the square matrices.
    """
    a = torch.randn(size, size, device=get_device()).to(dtype)
    times = []
    for _ in range(8):
        start = clock()
        a @ a
        times.append(clock() - start)
    return 2 * size**3 / min(times)


def quiet_log() -> None:
    """Let MMEngine log errors alone, so that a benchmark prints its table; calling it again changes nothing."""
    if not MMLogger.check_instance_created('benchmark'):
        MMLogger.get_instance('benchmark', log_level='ERROR')


def clock() -> float:
    """Seconds, after the device has finished."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def peak_memory() -> int:
    """Bytes at the peak of this process: of the GPU's allocator, or resident in RAM."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    # Not getrusage's: that keeps the parent's peak.
    line = next(line for line in Path('/proc/self/status').read_text().splitlines() if line.startswith('VmHWM'))
    return int(line.split()[1]) * 1024
