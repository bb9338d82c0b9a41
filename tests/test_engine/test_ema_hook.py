from types import SimpleNamespace

import torch
from torch import nn

from rsc_mm.registry import HOOKS


class Late(nn.Module):
    """A model whose buffer gets its size after the copy was made."""

    def __init__(self):
        super().__init__()
        self.part = nn.Linear(2, 2)
        self.part.register_buffer('rows', torch.zeros(3, 0))


def test_the_average_takes_late_buffers_over():
    model = Late()
    runner = SimpleNamespace(model=model, max_iters=10, max_epochs=1, iter=0, epoch=0)
    hook = HOOKS.build(dict(type='rsc_mm.EMAHook', ema_type='ExponentialMovingAverage', momentum=0.25))
    hook.before_run(runner)
    model.part.rows = torch.ones(3, 4)
    hook.before_train(runner)
    assert torch.equal(hook.ema_model.module.part.rows, model.part.rows)
    start = model.part.weight.detach().clone()
    for step in range(3):
        nn.init.constant_(model.part.weight, step)
        hook.after_train_iter(runner, step)
    expected = 0.75 * (0.75 * torch.zeros_like(start) + 0.25 * 1) + 0.25 * 2  # the first step starts the average
    assert torch.allclose(hook.ema_model.module.part.weight, expected)
    hook.before_val_epoch(runner)
    assert torch.allclose(model.part.weight, expected)


def test_a_model_that_is_loaded_before_the_run_is_the_average():
    model = Late()
    runner = SimpleNamespace(model=model, _resume=False)
    hook = HOOKS.build(dict(type='rsc_mm.EMAHook', ema_type='ExponentialMovingAverage', momentum=0.25))
    hook.after_load_checkpoint(runner, dict(state_dict=model.state_dict()))
    hook.before_run(runner)
    before = model.part.weight.detach().clone()
    hook.before_test_epoch(runner)
    assert torch.equal(model.part.weight, before)
