"""Time, memory and arithmetic of a distillation step, on synthetic images and random weights."""
import multiprocessing
import statistics
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from mmengine.config import ConfigDict
from mmengine.device import get_device
from mmengine.logging import MMLogger
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import rsc_mm  # noqa: F401  registers every component
from rsc_mm.datasets import RegionSample
from rsc_mm.engine import DecayGroupsConstructor
from rsc_mm.engine.memory import settle_memory
from rsc_mm.registry import MODELS
from rsc_mm.utils.profiling import CPU_ATTENTION, clock, matrix_rate, peak_memory

from ..config import load_config

DTYPES = {'float32': 'OptimWrapper', 'bfloat16': 'BFloat16OptimWrapper'}


@dataclass(frozen=True)
class Batch:
    """The synthetic batch: ``size`` images of ``shape`` (height, width) with ``crops`` regions each."""

    shape: tuple[int, int] = (480, 640)
    size: int = 1
    crops: int = 6


class Case:
    """One model with its batch and its timings.

    Args:
        config: configuration file.
        dtype: a key of `DTYPES`.
        layout: of the preprocessor, 'square' or 'rectangle'.
        size: longest side in pixels; None: the configuration's.
        batch: the synthetic batch.

    Raises:
        ValueError: the configuration is a detector's.
    """

    def __init__(self, config: str, dtype: str, layout: str, size: int | None, batch: Batch) -> None:
        cfg = load_config(config)
        if 'roi_head' in cfg.model:
            raise ValueError(f'{config}: found a detector, expected a distillation configuration; its test pass is '
                             'timed by tools/benchmarks/detection.py')
        forget_weights(cfg.model)
        cfg.model.data_preprocessor.update(layout=layout, image_size=size or cfg.model.data_preprocessor.image_size)
        self.name, self.dtype, self.layout = Path(config).stem, dtype, layout
        self.model = MODELS.build(cfg.model)
        self.model.init_weights()
        self.model.to(get_device()).train()
        wrapper = dict(type=DTYPES[dtype], optimizer=cfg.optim_wrapper.optimizer)
        self.optimizer = DecayGroupsConstructor(wrapper)(self.model)
        self.batch = synthetic_batch(batch)
        self.size = cfg.model.data_preprocessor.image_size
        self.images = batch.size
        self.data: list[float] = []
        self.step: list[float] = []

    def run(self) -> None:
        """One step, timed."""
        start = clock()
        inputs = self.model.data_preprocessor(self.batch, True)
        middle = clock()
        with self.optimizer.optim_context(self.model):
            loss = sum(self.model(**inputs, mode='loss').values())
        self.optimizer.update_params(loss)
        self.data.append(middle - start)
        self.step.append(clock() - middle)
        self.inputs = inputs

    def row(self, rate: float) -> dict[str, float | str]:
        """The case's line of the table; the first round is warm-up."""
        step, data = statistics.median(self.step[1:]), statistics.median(self.data[1:])
        with self.optimizer.optim_context(self.model):
            flops = step_flops(self.model, self.inputs)
        return dict(config=self.name, dtype=self.dtype, layout=self.layout, size=self.size, data_s=data, step_s=step,
                    images_per_s=self.images / (step + data), gflops=flops / 1e9, mfu=flops / step / rate)


def forget_weights(config: ConfigDict) -> None:
    """Take checkpoints and nouns out of a model's configuration: random weights, 1,000 random noun embeddings.

    Args:
        config: the configuration's ``model``; changed in place.
    """
    for part in ('backbone', 'refiner'):
        if config.get(part):
            config[part].init_cfg = None
    for owner in (config, config.get('rla') or {}):
        if 'class_embeddings' in owner:
            width = MODELS.build(config.backbone).embed_dim
            owner['class_embeddings'] = torch.randn(1000, width, generator=torch.Generator().manual_seed(0))


def synthetic_batch(batch: Batch) -> dict[str, list]:
    """Decoded images of one shape with the cells of a grid as regions.

    Args:
        batch: number and shape of the images, number of regions.
    """
    height, width = batch.shape
    edges, zero = torch.linspace(0, width, batch.crops + 1), torch.zeros(batch.crops)
    boxes = torch.stack([edges[:-1], zero, edges[1:], zero + height], dim=1)  # (crops, 4)
    sample = RegionSample(boxes=boxes, crop_boxes=boxes, labels=torch.arange(batch.crops),
                          is_local=torch.arange(batch.crops) % 3 == 2,  # end-to-end R-SC: a third are local crops
                          metainfo=dict(ori_shape=(height, width)))
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (batch.size, 3, height, width), generator=generator, dtype=torch.uint8)
    return dict(inputs=list(images), data_samples=[sample] * batch.size)


def step_flops(model: nn.Module, inputs: dict) -> float:
    """FLOPs of the matrix products, convolutions and attention of one step, forward and backward, as torch counts them.

    Args:
        model: what is trained.
        inputs: what its preprocessor gave.
    """
    with FlopCounterMode(display=False, custom_mapping=CPU_ATTENTION) as counter:
        sum(model(**inputs, mode='loss').values()).backward()
    model.zero_grad()
    return counter.get_total_flops()


def memory_of(choice: tuple, batch: Batch) -> int:
    """Bytes at the peak of two steps, measured in a process of its own.

    Args:
        choice: configuration, dtype, layout and size.
        batch: the synthetic batch.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context('spawn')) as pool:
        return pool.submit(peak_of_two_steps, choice, batch).result()


def peak_of_two_steps(choice: tuple, batch: Batch) -> int:
    """The same, of this process.

    Args:
        choice: configuration, dtype, layout and size.
        batch: the synthetic batch.
    """
    MMLogger.get_instance('benchmark', log_level='ERROR')
    settle_memory()
    before = peak_memory()
    case = Case(*choice, batch)
    for _ in range(2):
        case.run()
    return peak_memory() - before


def measure(choices: list[tuple], batch: Batch, rounds: int) -> list[dict[str, float | str]]:
    """A line for each case, with the ratios of its step and memory to the first case's.

    Args:
        choices: configuration, dtype, layout and size of each case; they run in turns.
        batch: the synthetic batch.
        rounds: timed steps, after one untimed.
    """
    settle_memory()
    cases = [Case(*choice, batch) for choice in choices]
    for _ in range(rounds + 1):
        for case in cases:
            case.run()
    rates = {dtype: matrix_rate(getattr(torch, dtype)) for dtype in {case.dtype for case in cases}}
    rows = [case.row(rates[case.dtype]) for case in cases]
    del cases, case  # their memory, before that of a process of its own is measured
    for row, choice in zip(rows, choices):
        row['memory_mib'] = memory_of(choice, batch) / 2**20
    for row in rows:
        row['step_ratio'] = row['step_s'] / rows[0]['step_s']
        row['memory_ratio'] = row['memory_mib'] / rows[0]['memory_mib']
    return rows
