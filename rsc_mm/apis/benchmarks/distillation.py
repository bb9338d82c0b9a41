"""Time, memory and arithmetic of a distillation step, on synthetic images and random weights."""
import itertools
import multiprocessing
import statistics
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch
from mmengine.config import ConfigDict
from mmengine.device import get_device
from mmengine.logging import MessageHub
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.flop_counter import FlopCounterMode
from tqdm import trange

import rsc_mm  # noqa: F401  registers every component
from rsc_mm.datasets import RegionSample
from rsc_mm.engine import DecayGroupsConstructor
from rsc_mm.engine.memory import settle_memory
from rsc_mm.registry import MODELS
from rsc_mm.utils.profiling import CPU_ATTENTION, clock, matrix_rate, peak_memory, quiet_log

from ..config import load_config

COCO_IMAGES = 118287  # of an epoch, for the estimate of a recipe's hours
DTYPES = {'float32': 'OptimWrapper', 'bfloat16': 'BFloat16OptimWrapper'}


@dataclass(frozen=True)
class Batch:
    """The synthetic batch: ``size`` images of ``shape`` (height, width) with ``crops`` regions each."""

    shape: tuple[int, int] = (480, 640)
    size: int = 1
    crops: int = 6


class Choice(NamedTuple):
    """What a case measures: configuration, key of `DTYPES`, layout, longest side in pixels (None: the configuration's),
    batch, and whether the targets are cached (steps after the first then read them)."""

    config: str
    dtype: str = 'bfloat16'
    layout: str = 'square'
    size: int | None = None
    batch: Batch = Batch()
    cached: bool = False


class Case:
    """One model with its batch and its timings.

    Args:
        choice: what to measure.
        folder: where cached targets go, each case's in a folder of its own.

    Raises:
        ValueError: the configuration is a detector's.
    """

    def __init__(self, choice: Choice, folder: str) -> None:
        cfg, self.choice = load_config(choice.config), choice
        if 'roi_head' in cfg.model:
            raise ValueError(f'{choice.config}: found a detector, expected a distillation configuration; its test pass '
                             'is timed by tools/benchmarks/detection.py')
        forget_weights(cfg.model)
        pixels = cfg.model.data_preprocessor
        pixels.update(layout=choice.layout, image_size=choice.size or pixels.image_size)
        if choice.cached:
            cfg.model.targets = dict(type='CachedTargets', path=tempfile.mkdtemp(dir=folder))
        self.size, self.epochs = pixels.image_size, cfg.train_cfg.max_epochs
        self.model = MODELS.build(cfg.model)
        self.model.init_weights()
        self.model.to(get_device()).train()
        self.loss = self.model
        wrapper = dict(type=DTYPES[choice.dtype], optimizer=cfg.optim_wrapper.optimizer)
        self.optimizer = DecayGroupsConstructor(wrapper)(self.model)
        self.batch = synthetic_batch(choice.batch)
        self.data, self.step = [], []

    def run(self) -> None:
        """One step, timed."""
        # What was written in the first epoch is read in the second.
        MessageHub.get_current_instance().update_info('epoch', min(1, len(self.step)))
        start = clock()
        with self.optimizer.optim_context(self.model):
            inputs = self.model.data_preprocessor(self.batch, True)
            middle = clock()
            loss = sum(self.loss(**inputs, mode='loss').values())
        self.optimizer.update_params(loss)
        self.data.append(middle - start)
        self.step.append(clock() - middle)
        self.inputs = inputs

    def row(self, rate: float) -> dict[str, float | str]:
        """The case's line of the table; the first round is warm-up.

        Args:
            rate: FLOP/s of a matrix product of the dtype.
        """
        step, data = statistics.median(self.step[1:]), statistics.median(self.data[1:])
        with self.optimizer.optim_context(self.model):
            flops = step_flops(self.model, self.inputs)
        images = self.choice.batch.size / (step + data)
        tokens = self.inputs['images'][0, 0].numel() / self.model.backbone.patch_size**2
        return dict(config=Path(self.choice.config).stem + ' cached' * self.choice.cached, dtype=self.choice.dtype,
                    layout=self.choice.layout, size=self.size, images=self.choice.batch.size,
                    regions=self.choice.batch.crops, data_s=data, step_s=step, images_per_s=images,
                    tokens_per_s=images * tokens, hours=COCO_IMAGES * self.epochs / images / 3600, gflops=flops / 1e9,
                    mfu=flops / step / rate)


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
    fields = dict(boxes=boxes, crop_boxes=boxes, labels=torch.arange(batch.crops),
                  is_local=torch.arange(batch.crops) % 3 == 2)  # end-to-end R-SC: a third are local crops
    samples = [RegionSample(metainfo=dict(img_id=i, img_path=f'{i}.jpg', ori_shape=(height, width)), **fields)
               for i in range(batch.size)]
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (batch.size, 3, height, width), generator=generator, dtype=torch.uint8)
    return dict(inputs=list(images), data_samples=samples)


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


def memory_of(choice: Choice) -> int:
    """Bytes at the peak of two steps, measured in a process of its own.

    Args:
        choice: what to measure.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context('spawn')) as pool:
        return pool.submit(peak_of_two_steps, choice).result()


def peak_of_two_steps(choice: Choice) -> int:
    """The same, of this process.

    Args:
        choice: what to measure.
    """
    quiet_log()
    settle_memory()
    before = peak_memory()
    with tempfile.TemporaryDirectory() as folder:
        case = Case(choice, folder)
        for _ in range(2):
            case.run()
    return peak_memory() - before


def measure(choices: list[Choice], rounds: int, others: tuple = ()) -> list[dict[str, float | str]]:
    """A line for each case, with the ratios of its step and memory to the first case's.

    Args:
        choices: the cases; they run in turns.
        rounds: timed steps, after one untimed.
        others: further cases in the same turns, with ``run`` and ``row`` as `Case`; their memory is not measured.
    """
    settle_memory()
    with tempfile.TemporaryDirectory() as folder:
        cases = [*(Case(choice, folder) for choice in choices), *others]
        for _ in trange(rounds + 1, desc='rounds', disable=None):
            for case in cases:
                case.run()
        rates = {dtype: matrix_rate(getattr(torch, dtype)) for dtype in {case.choice.dtype for case in cases}}
        rows = [case.row(rates[case.choice.dtype]) for case in cases]
    del cases, case  # their memory, before that of a process of its own is measured
    for row, choice in itertools.zip_longest(rows, choices):
        row['memory_mib'] = memory_of(choice) / 2**20 if choice else float('nan')
    for row in rows:
        row['step_ratio'] = row['step_s'] / rows[0]['step_s']
        row['memory_ratio'] = row['memory_mib'] / rows[0]['memory_mib']
    return rows


def scaled(choice: Choice, patch_size: int) -> list[Choice]:
    """A case and what it becomes with 2 and 4 times the images, 2 and 4 times the regions, 1.5 and 2 times the side.

    Args:
        choice: the first case, with its size.
        patch_size: of which sides are multiples.
    """
    batch = choice.batch
    batches = [replace(batch, size=n * batch.size) for n in (2, 4)] + [replace(batch, crops=n * batch.crops)
                                                                       for n in (2, 4)]
    sides = [round(n * choice.size / patch_size) * patch_size for n in (1.5, 2)]
    return [choice, *(choice._replace(batch=b) for b in batches), *(choice._replace(size=side) for side in sides)]


def measure_ranks(choice: Choice, worlds: tuple[int, ...], rounds: int) -> list[dict[str, float | int]]:
    """Seconds of a step in one and in several processes that average their gradients, each with the whole batch.

    Args:
        choice: what each process does.
        worlds: numbers of processes.
        rounds: timed steps, after one untimed.
    """
    rows = []
    for world in worlds:
        with tempfile.TemporaryDirectory() as folder:
            torch.multiprocessing.spawn(_run_rank, (world, choice, rounds, folder), nprocs=world)
            step = float(Path(folder, 'step').read_text())
        images = choice.batch.size * world / step
        rows.append(dict(ranks=world, step_s=step, images_per_s=images))
    return [dict(row, efficiency=row['images_per_s'] / rows[0]['images_per_s'] * worlds[0] / row['ranks'])
            for row in rows]


def _run_rank(rank: int, world: int, choice: Choice, rounds: int, folder: str) -> None:
    quiet_log()
    settle_memory()
    if torch.cuda.is_available():
        torch.cuda.set_device(rank)
    distributed.init_process_group('nccl' if torch.cuda.is_available() else 'gloo', rank=rank, world_size=world,
                                   init_method=f'file://{folder}/rendezvous')
    case = Case(choice, folder)
    case.loss = DistributedDataParallel(case.model, broadcast_buffers=False)
    for _ in range(rounds + 1):
        case.run()
    if rank == 0:
        Path(folder, 'step').write_text(str(statistics.median(case.step[1:]) + statistics.median(case.data[1:])))
    distributed.destroy_process_group()
