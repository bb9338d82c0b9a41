"""Time, memory and arithmetic of a distillation step, on synthetic images and random weights.

  python tools/benchmark.py configs/clipself/clipself_vitb16_coco_patches.py --sizes 320 640 --dtypes float32 bfloat16
  python tools/benchmark.py CONFIG --layouts square rectangle --sizes 1024            4:3 images, two layouts
  python tools/benchmark.py CONFIG_A CONFIG_B --sizes 640                             two methods

Every case is a combination of configuration, dtype, layout and size. All cases run in turns, so that a change of the
machine's load meets all of them; the table gives the median of the rounds, and the ratio of each step to the first
case's. Columns: data = resizing and cropping of the decoded batch; step = forward, backward and update; memory = peak
of the process during the steps (on a GPU: of its allocator); MFU = analytic FLOPs of the step over what a large matrix
product of that dtype reaches on this machine. FLOPs count multiplications and additions of the linear layers and of
attention, the backward pass as twice the forward pass of what trains.
"""
import argparse
import itertools
import json
import statistics
import time
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import MMLogger
from torch import nn

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
    choices = itertools.product(args.configs, args.dtypes, args.layouts, args.sizes or [None])
    cases = [Case(*choice, args) for choice in choices]
    for _ in range(args.rounds + 1):
        for case in cases:
            case.run()
    rates = {dtype: matrix_rate(getattr(torch, dtype)) for dtype in args.dtypes}
    rows = [case.row(rates[case.dtype]) for case in cases]
    for row in rows:
        row['ratio'] = row['step_s'] / rows[0]['step_s']
    print_table(rows)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1))


class Case:
    """One model with its batch and its timings."""

    def __init__(self, config: str, dtype: str, layout: str, size: int | None, args: argparse.Namespace) -> None:
        cfg = Config.fromfile(config)
        cfg.model.backbone.init_cfg = None
        if 'class_embeddings' in cfg.model:
            cfg.model.class_embeddings = torch.randn(1000, 2048, generator=torch.Generator().manual_seed(0))
        cfg.model.data_preprocessor.update(layout=layout, image_size=size or cfg.model.data_preprocessor.image_size)
        self.name, self.dtype, self.layout = Path(config).stem, dtype, layout
        self.model = build_model(cfg.model).to(get_device()).train()
        wrapper = dict(type=DTYPES[dtype], optimizer=cfg.optim_wrapper.optimizer)
        self.optimizer = DecayGroupsConstructor(wrapper)(self.model)
        self.batch = synthetic_batch(args)
        self.size = cfg.model.data_preprocessor.image_size
        self.images = args.batch_size
        self.data, self.step, self.memory = [], [], 0

    def run(self) -> None:
        """One step, timed."""
        reset_peak_memory()
        start = clock()
        inputs = self.model.data_preprocessor(self.batch, True)
        middle = clock()
        with self.optimizer.optim_context(self.model):
            loss = sum(self.model(**inputs, mode='loss').values())
        self.optimizer.update_params(loss)
        self.data.append(middle - start)
        self.step.append(clock() - middle)
        self.memory = max(self.memory, peak_memory())
        self.inputs = inputs

    def row(self, rate: float) -> dict[str, float | str]:
        """The case's line of the table; the first round is warm-up."""
        step, data = statistics.median(self.step[1:]), statistics.median(self.data[1:])
        flops = step_flops(self.model, self.inputs)
        return dict(config=self.name, dtype=self.dtype, layout=self.layout, size=self.size, data_s=data, step_s=step,
                    images_per_s=self.images / (step + data), memory_mib=self.memory / 2**20, gflops=flops / 1e9,
                    mfu=flops / step / rate)


def build_model(config: dict) -> nn.Module:
    """The distiller on random weights; the random noun embeddings are cut to the tower's size.

    Args:
        config: the configuration's ``model``.
    """
    embeddings = config.pop('class_embeddings', None)
    if embeddings is None:
        model = MODELS.build(config)
    else:
        width = MODELS.build({**config.backbone}).embed_dim
        model = MODELS.build({**config, 'class_embeddings': embeddings[:, :width]})
    model.init_weights()
    return model


def synthetic_batch(args: argparse.Namespace) -> dict[str, list]:
    """Decoded images of one shape with the cells of a grid as regions.

    Args:
        args: the command line.
    """
    height, width = args.shape
    edges = torch.linspace(0, width, args.crops + 1)
    boxes = torch.stack([edges[:-1], torch.zeros(args.crops), edges[1:], torch.full((args.crops, ), float(height))], 1)
    sample = RegionSample(boxes=boxes, crop_boxes=boxes, labels=torch.arange(args.crops),
                          metainfo=dict(ori_shape=(height, width)))
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (args.batch_size, 3, height, width), generator=generator, dtype=torch.uint8)
    return dict(inputs=list(images), data_samples=[sample] * args.batch_size)


def step_flops(model: nn.Module, inputs: dict) -> float:
    """Analytic FLOPs of one step: student forward and backward, teacher forward.

    Args:
        model: a distiller.
        inputs: what its preprocessor gave.
    """
    student = dense_flops(model.backbone, inputs['images'])
    trained = sum(p.requires_grad for p in model.backbone.parameters()) > 0
    crops = inputs['crops']
    teacher = 0 if crops is None else image_flops(model.teacher, crops)
    return student * (3 if trained else 1) + teacher


def dense_flops(backbone: nn.Module, images: torch.Tensor) -> float:
    """FLOPs of ``encode_dense``.

    Args:
        backbone: a tower.
        images: (B, 3, H, W).
    """
    tokens = images.shape[2] // backbone.patch_size * (images.shape[3] // backbone.patch_size) + 1
    value = backbone.readout_name == 'value'  # the class token does not pass the value path
    last = block_flops(backbone, tokens - 1, False) if value else block_flops(backbone, tokens)
    return len(images) * ((backbone.depth - 1) * block_flops(backbone, tokens) + last + ends_flops(backbone, tokens))


def image_flops(backbone: nn.Module, crops: torch.Tensor) -> float:
    """FLOPs of ``encode_image``; of the last block only keys, values and the class token's row count.

    Args:
        backbone: a tower.
        crops: (K, 3, s, s).
    """
    tokens, c = (crops.shape[2] // backbone.patch_size)**2 + 1, backbone.width
    # Keys and values of all tokens; query, attention, projection and MLP of one.
    last = 2 * tokens * 2 * c * c + 4 * tokens * c + block_flops(backbone, 1, False)
    patches = 2 * (tokens - 1) * 3 * backbone.patch_size**2 * c + 2 * c * backbone.embed_dim
    return len(crops) * ((backbone.depth - 1) * block_flops(backbone, tokens) + last + patches)


def block_flops(backbone: nn.Module, tokens: int, attention: bool = True) -> float:
    """FLOPs of one block on one image, with attention or on the value path.

    Args:
        backbone: a tower.
        tokens: 1 + N.
        attention: whether queries, keys and the attention matrix are computed.
    """
    c = backbone.width
    mlp = sum(layer.weight.numel() for layer in backbone.vit.blocks[0].mlp.modules() if isinstance(layer, nn.Linear))
    linear = 2 * tokens * ((4 if attention else 2) * c * c + mlp)
    return linear + (4 * tokens**2 * c if attention else 0)


def ends_flops(backbone: nn.Module, tokens: int) -> float:
    """FLOPs of patch embedding and head on one image.

    Args:
        backbone: a tower.
        tokens: 1 + N.
    """
    return 2 * (tokens - 1) * backbone.width * (3 * backbone.patch_size**2 + backbone.embed_dim)


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


def reset_peak_memory() -> None:
    """Start a new peak."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    else:
        Path('/proc/self/clear_refs').write_text('5')


def peak_memory() -> int:
    """Bytes at the peak since the last reset: of the GPU's allocator, or resident in RAM."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
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
