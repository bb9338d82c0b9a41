"""Time, memory and arithmetic of a distillation step, on synthetic images and random weights.

  python tools/benchmarks/distillation.py configs/clipself/clipself_vitb16_coco_patches.py --sizes 320 640 \\
      --dtypes float32 bfloat16
  python tools/benchmarks/distillation.py CONFIG --layouts square rectangle --sizes 1024   4:3 images, two layouts
  python tools/benchmarks/distillation.py CONFIG_A CONFIG_B --sizes 640                    two methods

Of detectors tools/benchmarks/detection.py times the test pass, on the sizes of real images too.

Every case is a combination of configuration, dtype, layout and size. All cases run in turns, so that a change of the
machine's load meets all of them; the table gives the median of the rounds, and the ratios of each step and memory to
the first case's. Columns: data = resizing and cropping of the decoded batch; step = forward, backward and update;
memory = peak of two steps in a process of their own, without what the libraries take (on a GPU: of the allocator);
MFU = FLOPs of the step, counted by torch, over what a large matrix product of that dtype reaches on this machine.
"""
import argparse
import itertools
import json
import multiprocessing
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import MMLogger
from torch import nn
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

import rsc_mm  # noqa: F401  registers every component
from rsc_mm.datasets import RegionSample
from rsc_mm.engine import DecayGroupsConstructor
from rsc_mm.registry import MODELS

DTYPES = {'float32': 'OptimWrapper', 'bfloat16': 'BFloat16OptimWrapper'}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('configs', nargs='+', help='distillation configurations')
    parser.add_argument('--sizes', nargs='+', type=int, help="longest side in pixels; default: the configuration's")
    parser.add_argument('--dtypes', nargs='+', choices=sorted(DTYPES), default=['bfloat16'])
    parser.add_argument('--layouts', nargs='+', choices=['square', 'rectangle'], default=['square'])
    parser.add_argument('--shape', nargs=2, type=int, default=[480, 640], metavar=('H', 'W'), help='of the images')
    parser.add_argument('--batch-size', type=int, default=1)
    parser.add_argument('--crops', type=int, default=6, help='regions of each image')
    parser.add_argument('--rounds', type=int, default=5, help='timed steps of every case, after one untimed')
    parser.add_argument('--json', type=Path, help='also write the rows to this file')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if min(args.batch_size, args.crops, args.rounds, *args.shape) < 1:
        raise SystemExit('--batch-size, --crops, --rounds and --shape: expected numbers of at least 1')
    MMLogger.get_instance('benchmark', log_level='ERROR')
    choices = list(itertools.product(args.configs, args.dtypes, args.layouts, args.sizes or [None]))
    cases = [Case(*choice, args) for choice in choices]
    for _ in range(args.rounds + 1):
        for case in cases:
            case.run()
    rates = {dtype: matrix_rate(getattr(torch, dtype)) for dtype in args.dtypes}
    rows = [case.row(rates[case.dtype]) for case in cases]
    del cases
    for row, choice in zip(rows, choices):
        row['memory_mib'] = memory_of(choice, args) / 2**20
    for row in rows:
        row['step_ratio'] = row['step_s'] / rows[0]['step_s']
        row['memory_ratio'] = row['memory_mib'] / rows[0]['memory_mib']
    print_table(rows)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1))


class Case:
    """One model with its batch and its timings."""

    def __init__(self, config: str, dtype: str, layout: str, size: int | None, args: argparse.Namespace) -> None:
        cfg = Config.fromfile(config)
        if 'roi_head' in cfg.model:
            raise SystemExit(f'{config}: found a detector, expected a distillation configuration; its test pass is '
                             'timed by tools/benchmarks/detection.py')
        forget_weights(cfg.model)
        cfg.model.data_preprocessor.update(layout=layout, image_size=size or cfg.model.data_preprocessor.image_size)
        self.name, self.dtype, self.layout = Path(config).stem, dtype, layout
        self.model = MODELS.build(cfg.model)
        self.model.init_weights()
        self.model.to(get_device()).train()
        wrapper = dict(type=DTYPES[dtype], optimizer=cfg.optim_wrapper.optimizer)
        self.optimizer = DecayGroupsConstructor(wrapper)(self.model)
        self.batch = synthetic_batch(args)
        self.size = cfg.model.data_preprocessor.image_size
        self.images = args.batch_size
        self.data, self.step = [], []

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


def forget_weights(config: dict) -> None:
    """Take checkpoints and nouns out of a model's configuration: random weights, 1,000 random noun embeddings.

    Args:
        config: the configuration's ``model``; changed in place.
    """
    for part in ('backbone', 'refiner'):
        if config.get(part):
            config[part].init_cfg = None
    for part in (config, config.get('rla') or {}):
        if 'class_embeddings' in part:
            width = MODELS.build(config.backbone).embed_dim
            part['class_embeddings'] = torch.randn(1000, width, generator=torch.Generator().manual_seed(0))


def synthetic_batch(args: argparse.Namespace) -> dict[str, list]:
    """Decoded images of one shape with the cells of a grid as regions.

    Args:
        args: the command line.
    """
    height, width = args.shape
    edges = torch.linspace(0, width, args.crops + 1)
    boxes = torch.stack([edges[:-1], torch.zeros(args.crops), edges[1:], torch.full((args.crops, ), float(height))], 1)
    sample = RegionSample(boxes=boxes, crop_boxes=boxes, labels=torch.arange(args.crops),
                          is_local=torch.arange(args.crops) % 3 == 2,  # end-to-end R-SC: a third are local crops
                          metainfo=dict(ori_shape=(height, width)))
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (args.batch_size, 3, height, width), generator=generator, dtype=torch.uint8)
    return dict(inputs=list(images), data_samples=[sample] * args.batch_size)


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


def clock() -> float:
    """Seconds, after the device has finished."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def memory_of(choice: tuple, args: argparse.Namespace) -> int:
    """Bytes at the peak of two steps, measured in a process of its own.

    Args:
        choice: configuration, dtype, layout and size.
        args: the command line.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context('spawn')) as pool:
        return pool.submit(peak_of_two_steps, choice, args).result()


def peak_of_two_steps(choice: tuple, args: argparse.Namespace) -> int:
    """The same, of this process.

    Args:
        choice: configuration, dtype, layout and size.
        args: the command line.
    """
    MMLogger.get_instance('benchmark', log_level='ERROR')
    before = peak_memory()
    case = Case(*choice, args)
    for _ in range(2):
        case.run()
    return peak_memory() - before


def peak_memory() -> int:
    """Bytes at the peak of this process: of the GPU's allocator, or resident in RAM."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    # Not getrusage's: that keeps the parent's peak.
    line = next(line for line in Path('/proc/self/status').read_text().splitlines() if line.startswith('VmHWM'))
    return int(line.split()[1]) * 1024


def print_table(rows: list[dict]) -> None:
    """Rows as aligned text.

    Args:
        rows: of equal keys.
    """
    cells = [list(rows[0])] + [[f'{v:.3f}' if isinstance(v, float) else str(v) for v in row.values()] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells)]
    for line in cells:
        print('  '.join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())


if __name__ == '__main__':
    main()
