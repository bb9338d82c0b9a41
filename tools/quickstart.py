"""The main job in small: generate Shapes, evaluate a tiny CLIP, train its Refiner, distil it by R-SC-CLIPSelf, evaluate
again, and write a report.

The Refiner trains for one epoch instead of three, to save time. Called by tools/quickstart.sh. Finished steps are kept
in work_dirs/quickstart and not repeated; an interrupted training goes on where it was.
"""
import argparse
import time
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
import torch
from benchmarks.shapes_table import (
    BOUNDS,
    CLIP,
    COLUMNS,
    EVALUATION,
    METHODS,
    Run,
    digits,
    distil,
    evaluate,
    prepare,
    train,
)
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch
from mmengine.config import Config

import rsc_mm  # noqa: F401  registers every component
from rsc_mm.models.text import load_class_embeddings
from rsc_mm.registry import DATASETS, MODELS
from rsc_mm.utils.checkpoint import load_clip_checkpoint
from rsc_mm.visualization import class_map

matplotlib.use('Agg')
from matplotlib import pyplot as plt  # noqa: E402  the backend is chosen first

STEPS = ('generate Shapes', 'evaluate the tiny CLIP', 'stage 1: train the Refiner', 'stage 2: distil the tower',
         'evaluate the distilled tower', 'draw pictures and write the report')
TOWERS = ('CLIPSelf (grid)', 'CLIPSelf', 'SC-CLIPSelf', 'R-SC-CLIPSelf', 'R-SC-V')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/quickstart'))
    parser.add_argument('--method', choices=TOWERS, default='R-SC-CLIPSelf')
    return parser.parse_args()


def main() -> None:
    args, start = parse_args(), time.time()
    method = METHODS[args.method]
    if method.refiner:
        method = replace(method, refiner=replace(method.refiner, options=('train_cfg.max_epochs=1', )))
    announce(0, start)
    prepare(region_text=False)
    announce(1, start)
    before = evaluate(Run(EVALUATION), CLIP, args.work_dir / 'original')
    announce(2, start)
    if method.refiner:
        train(method.refiner, 0, args.work_dir)
    announce(3, start)
    checkpoint = train(method, 0, args.work_dir)
    announce(4, start)
    after = distil(method, 0, args.work_dir, 'val')
    announce(5, start)
    draw_pictures(checkpoint, args.work_dir / 'pictures.png')
    report = write_report(args.method, before, after, time.time() - start)
    (args.work_dir / 'report.md').write_text(report)
    print(f'{report}\nwrote {args.work_dir / "report.md"}')


def announce(step: int, start: float) -> None:
    """Say which step begins; training and evaluation print their own progress and ETA."""
    print(f'\n=== step {step + 1} of {len(STEPS)}: {STEPS[step]} ({time.time() - start:.0f} s so far)', flush=True)


def write_report(method: str, before: dict[str, float], after: dict[str, float], seconds: float) -> str:
    """The table of top-1 mean accuracies and coupling ratios before and after, in Markdown."""
    bounds = {name: before[key] for key, name in BOUNDS.items()}
    lines = [f'# {method} on Shapes', '', 'Zero-shot region classification on the val split, top-1 mean accuracy in '
             'percent over 18 classes, and the coupling ratio (CR): how much two images side by side leak into each '
             'other, 1 is nothing. The upper bound is what the original tower reads from the image crops.', '',
             '| | original | distilled | upper bound |', '|---|---|---|---|']
    for key, name in COLUMNS.items():
        bound = f'{bounds[name]:.1f}' if name in bounds else ''
        figures = ' | '.join(f'{result[key]:.{digits(key)}f}' for result in (before, after))
        lines.append(f'| {name} | {figures} | {bound} |')
    gain = (after['boxes_top1'] - before['boxes_top1']) / (before['thing_crops_top1'] - before['boxes_top1'])
    lines += ['', f'On boxes the distance to the upper bound shrank by {100 * gain:.0f} %. This run took '
              f'{seconds / 60:.1f} minutes.', '', '![class of every token, before and after](pictures.png)', '']
    return '\n'.join(lines)


@torch.no_grad()
def draw_pictures(checkpoint: str, out: Path, count: int = 5) -> None:
    """Scenes, their annotation, and the class of every token before and after distillation.

    Args:
        checkpoint: the distilled tower.
        out: png file.
        count: number of scenes.
    """
    cfg = Config.fromfile(EVALUATION)
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    names = dataset.metainfo['classes']
    embeddings = load_class_embeddings(dict(cfg.test_evaluator.class_embeddings), names)
    preprocessor = MODELS.build({**cfg.model.data_preprocessor, 'crop_size': None})
    towers = [MODELS.build(cfg.model.backbone) for _ in range(2)]
    for tower, path in zip(towers, (CLIP, checkpoint)):
        load_clip_checkpoint(tower, path)
    figure, axes = plt.subplots(4, count, figsize=(2 * count, 8.6), squeeze=False)
    colours = ListedColormap(plt.get_cmap('tab20').colors[:len(names)])
    for column in range(count):
        item = dataset[column]
        batch = preprocessor(dict(inputs=[item['inputs']], data_samples=[item['data_samples']]))
        maps = [class_map(tower.encode_dense(batch['images'])[0], embeddings) for tower in towers]
        height, width = item['inputs'].shape[1:]
        axes[0, column].imshow(item['inputs'].permute(1, 2, 0).numpy())
        pictures = [annotation(item['data_samples']), *(grid.numpy() for grid in maps)]
        for row, picture in enumerate(pictures, 1):
            axes[row, column].imshow(picture, cmap=colours, vmin=0, vmax=len(names) - 1, interpolation='nearest',
                                     extent=None if row == 1 else (0, 128, 128, 0))
            axes[row, column].set(xlim=(0, width), ylim=(height, 0))
    for axis, title in zip(axes[:, 0], ('scene', 'annotation', 'original', 'distilled')):
        axis.set_ylabel(title)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
    figure.legend(handles=[Patch(color=colours(i), label=name) for i, name in enumerate(names)], ncol=9,
                  loc='lower center', fontsize=7)
    figure.tight_layout(rect=(0, 0.05, 1, 1))
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=90)


def annotation(sample: object) -> np.ndarray:
    """The class of every pixel (H, W), NaN where nothing is annotated."""
    picture = np.full(sample.ori_shape, np.nan)
    for mask, label in zip(sample.masks.numpy().astype(bool), sample.labels.tolist()):
        picture[mask] = label
    return picture


if __name__ == '__main__':
    main()
