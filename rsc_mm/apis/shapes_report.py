"""The report of the quickstart: a table and pictures of a tower before and after distillation."""
from pathlib import Path

import numpy as np
import torch

from rsc_mm.datasets import RegionSample
from rsc_mm.models.text import load_class_embeddings
from rsc_mm.registry import DATASETS, MODELS
from rsc_mm.utils.checkpoint import load_clip_checkpoint
from rsc_mm.visualization import class_map
from rsc_mm.visualization.figures import add_legend, class_colours, panels, save_figure

from .config import load_config
from .shapes_experiments import BOUNDS, CLIP, COLUMNS, EVALUATION, digits


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
    cfg = load_config(EVALUATION)
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    names = dataset.metainfo['classes']
    embeddings = load_class_embeddings(dict(cfg.test_evaluator.class_embeddings), names)
    preprocessor = MODELS.build({**cfg.model.data_preprocessor, 'crop_size': None})
    towers = [MODELS.build(cfg.model.backbone) for _ in range(2)]
    for tower, path in zip(towers, (CLIP, checkpoint)):
        load_clip_checkpoint(tower, path)
    figure, axes = panels(4, count, (2, 2.15))
    colours = class_colours(len(names))
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
    add_legend(figure, names, columns=9)
    save_figure(figure, out)


def annotation(sample: RegionSample) -> np.ndarray:
    """The class of every pixel (H, W), NaN where nothing is annotated."""
    picture = np.full(sample.ori_shape, np.nan)
    for mask, label in zip(sample.masks.numpy().astype(bool), sample.labels.tolist()):
        picture[mask] = label
    return picture
