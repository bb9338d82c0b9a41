from mmengine.model import ExponentialMovingAverage
from torch import nn


class EMATower(ExponentialMovingAverage):
    r"""A tower that follows the student, saved with it: the teacher of DenseCL and iBOT.

    .. math:: \theta_{EMA} \leftarrow m\,\theta_{EMA} + (1 - m)\,\theta_{student}

    `update_parameters` is called at the start of every training forward, before the tower is used; the first call
    copies the student. That gives the teacher that an update after every optimiser step gives, and it cannot be
    forgotten in a config: MMEngine's DDP wrapper calls only ``forward`` of the model, never its ``train_step``. Where
    gradients are accumulated over n forwards, it follows n times a step.

    Args:
        tower: the student.
        momentum: m, in [0.5, 1). MMEngine's own field is 1 - m.

    Raises:
        ValueError: the momentum is out of its range.
    """

    def __init__(self, tower: nn.Module, momentum: float) -> None:
        if not 0.5 <= momentum < 1:
            raise ValueError(f"constraint field 'momentum': found {momentum}, expected 0.5 <= momentum < 1, the share "
                             'of the EMA teacher that stays, such as 0.999')
        super().__init__(tower, momentum=1 - momentum)
        self.module.freeze()
