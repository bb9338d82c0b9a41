"""A training of milliseconds: one weight, images that are numbers."""
import itertools
from pathlib import Path

import torch
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner

from rsc_mm.datasets import Draw

IMAGES = 24
_numbers = itertools.count()  # MMEngine keeps runners by name


class Numbers:
    """Image i is the number i; ``seen`` lists the images in the order in which they were loaded.

    Args:
        count: number of images.
        broken: image whose loss is not a number.
    """

    def __init__(self, count: int = IMAGES, broken: int | None = None) -> None:
        self.count, self.broken, self.seen = count, broken, []

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, draw: Draw | int) -> dict:
        index = draw.index if isinstance(draw, Draw) else draw
        self.seen.append(index)
        value = torch.tensor(float('nan') if index == self.broken else index / self.count)
        return dict(inputs=value, data_samples=dict(img_path=f'{index}.jpg'))


class Line(BaseModel):
    """Loss of one weight w: (w x - 1)^2."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))

    def forward(self, inputs: list[torch.Tensor], data_samples: object, mode: str) -> dict[str, torch.Tensor]:
        x = torch.stack(inputs)
        if mode != 'loss':
            return x
        return {'loss_line': (self.weight * x - 1).square().mean(), 'loss_zero': 0 * self.weight}


class KillAt(Hook):
    """Ends the run before a step, like a kill.

    Args:
        step: number of steps done.
    """

    def __init__(self, step: int) -> None:
        self.step = step

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None) -> None:
        if runner.iter == self.step:
            raise KeyboardInterrupt


def toy_runner(work_dir: Path, images: Numbers | None = None, batch_size: int = 4, resume: bool = False, seed: int = 0,
               epochs: int = 2, **fields: object) -> Runner:
    """Epochs of 24 images; a checkpoint after every second step."""
    return Runner(**{**dict(
        model=Line(), work_dir=str(work_dir), default_scope='rsc_mm', resume=resume, randomness=dict(seed=seed),
        train_dataloader=dict(batch_size=batch_size, num_workers=0, sampler=dict(type='EpochSampler'),
                              collate_fn=dict(type='region_collate'), dataset=images or Numbers()),
        train_cfg=dict(type='ResumableEpochLoop', max_epochs=epochs),
        optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1, momentum=0.9)),
        param_scheduler=[dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=4),
                         dict(type='CosineAnnealingLR', by_epoch=False, begin=4)],
        default_hooks=dict(checkpoint=dict(type='SafeCheckpointHook', by_epoch=False, interval=2),
                           loss_check=dict(type='LossCheckHook')),
        experiment_name=f'{work_dir.name}_{next(_numbers)}', log_level='WARNING'), **fields})
