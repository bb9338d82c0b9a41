from collections.abc import Callable
from functools import wraps
from typing import Any

import torch


def full_precision(function: Callable) -> Callable:
    """Run a function in at least float32, whatever the autocast: losses, pooling, correlations and metrics.

    Tensors of half precision among the arguments (also inside lists) are cast to float32; float64 stays. Autocast is
    off inside, since it would cast matrix products back.

    Args:
        function: its tensors arrive in at least float32.
    """
    @wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        device = next((a.device.type for a in (*args, *kwargs.values()) if isinstance(a, torch.Tensor)), 'cpu')
        with torch.autocast(device, enabled=False):
            return function(*map(_upcast, args), **{key: _upcast(value) for key, value in kwargs.items()})
    return wrapped


def _upcast(value: Any) -> Any:
    if isinstance(value, list):
        return [_upcast(item) for item in value]
    half = isinstance(value, torch.Tensor) and value.dtype in (torch.float16, torch.bfloat16)
    return value.float() if half else value
