from collections.abc import Iterator
from contextlib import contextmanager

import timm.optim
import torch
from mmengine.optim import OptimWrapper
from torch import nn

from rsc_mm.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS, OPTIMIZERS


@OPTIM_WRAPPERS.register_module()
class BFloat16OptimWrapper(OptimWrapper):
    """Training under bfloat16 autocast, on CPU as on GPU; weights, gradients and optimizer state stay float32.

    MMEngine's ``AmpOptimWrapper`` refuses to run on a CPU and scales losses, which bfloat16 does not need.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Autocast of the forward pass.

        Args:
            model: the model in training.
        """
        device = next(model.parameters()).device.type
        with super().optim_context(model), torch.autocast(device, torch.bfloat16):
            yield


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class DecayGroupsConstructor:
    """Two parameter groups: matrices decay; biases, norms and other vectors do not; frozen parameters are left out.

    MMEngine's default makes one group a parameter, the teacher's included, which defeats fused optimizers.

    Args:
        optim_wrapper_cfg: wrapper config with its ``optimizer``.
        paramwise_cfg: must be empty.

    Raises:
        ValueError: a ``paramwise_cfg`` was given.
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None) -> None:
        if paramwise_cfg:
            raise ValueError(f"DecayGroupsConstructor field 'paramwise_cfg': found {paramwise_cfg}, expected none; use "
                             'DefaultOptimWrapperConstructor for rules by parameter')
        self.wrapper = dict(optim_wrapper_cfg)
        self.optimizer = dict(self.wrapper.pop('optimizer'))

    def __call__(self, model: nn.Module) -> OptimWrapper:
        """Build the wrapped optimizer.

        Args:
            model: the model in training.

        Raises:
            ValueError: nothing in the model trains.
        """
        model = getattr(model, 'module', model)
        groups = timm.optim.param_groups_weight_decay(model, self.optimizer.get('weight_decay', 0.))
        groups = [group for group in groups if group['params']]
        if not groups:
            raise ValueError("no parameter trains: found a model that is frozen as a whole; check the backbone's field "
                             "'frozen_stages'")
        optimizer = OPTIMIZERS.build({**self.optimizer, 'params': groups})
        return OPTIM_WRAPPERS.build({'type': 'OptimWrapper', **self.wrapper}, default_args=dict(optimizer=optimizer))
