"""The report of the quickstart: a table and pictures of a tower before and after distillation."""
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from rsc_mm.datasets import RegionSample
from rsc_mm.models import RegionPreprocessor
from rsc_mm.models.backbones.vit_tower import ViTTower
from rsc_mm.models.text import load_class_embeddings
from rsc_mm.registry import DATASETS, MODELS
from rsc_mm.utils.checkpoint import load_clip_checkpoint
from rsc_mm.utils.regions import pool_masks, token_at
from rsc_mm.visualization import affinity_map, class_map, colour_range
from rsc_mm.visualization.figures import add_legend, class_colours, panels, save_figure, show_map

from .config import load_config
from .shapes_experiments import BOUNDS, COLUMNS, EVALUATION, digits


def write_report(method: str, before: dict[str, float], after: dict[str, float], seconds: float) -> str:
    """The table of top-1 mean accuracies and coupling ratios before and after, in Markdown."""
    bounds = {name: before[key] for key, name in BOUNDS.items()}
    lines = [f'# {method} on Creatures', '', 'Zero-shot region classification on the val split, top-1 mean accuracy in '
             'percent over 20 classes, and the coupling ratio (CR): how much two images side by side leak into each '
             'other, 1 is nothing. The last column is what the original tower reads from image crops.', '',
             '| | original | distilled | image crops |', '|---|---|---|---|']
    for key, name in COLUMNS.items():
        bound = f'{bounds[name]:.1f}' if name in bounds else ''
        figures = ' | '.join(f'{result[key]:.{digits(key)}f}' for result in (before, after))
        lines.append(f'| {name} | {figures} | {bound} |')
    gain = (after['boxes_top1'] - before['boxes_top1']) / (before['thing_crops_top1'] - before['boxes_top1'])
    lines += ['', f'On boxes the distance to the crops shrank by {100 * gain:.0f} %. This run took '
              f'{seconds / 60:.1f} minutes.', '', '![classes and affinities, before and after](pictures.png)', '']
    return '\n'.join(lines)


@torch.no_grad()
def draw_pictures(checkpoints: dict[str, str], out: Path, evaluation: str = EVALUATION,
                  scenes: Sequence[int] = (0, 1)) -> None:
    """Scenes under several towers: what every token and every mask is named, and what is like a marked point.

    Three rows a scene: the scene and class maps of the tokens; the annotation and its masks, in the colour of their
    class where the region classification names them right; the scene and the affinities (cosines of the dense map) of
    the marked point, whose colours run from a map's lowest to its highest but the point's own. The point is the
    innermost of the largest thing.

    Args:
        checkpoints: of the towers by the names that stand above them.
        out: png file.
        evaluation: configuration of the region classification, whose scenes are drawn.
        scenes: their indices in its data set.
    """
    cfg = load_config(evaluation)
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    names = dataset.metainfo['classes']
    embeddings = load_class_embeddings(dict(cfg.test_evaluator.class_embeddings), names)
    preprocessor = MODELS.build({**cfg.model.data_preprocessor, 'crop_size': None, 'layout': 'rectangle'})
    towers = [MODELS.build(cfg.model.backbone) for _ in checkpoints]
    for tower, path in zip(towers, checkpoints.values()):
        load_clip_checkpoint(tower, path)
    figure, axes = panels(3 * len(scenes), 1 + len(towers), (3, 3))
    for index, rows in zip(scenes, axes.reshape(len(scenes), 3, -1)):
        draw_scene(rows, dataset[index], towers, preprocessor, embeddings)
    for axis, title in zip(axes[0, 1:], checkpoints):
        axis.set_title(title)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
    add_legend(figure, names, other='named wrongly')
    save_figure(figure, out)


def draw_scene(rows: np.ndarray, item: dict[str, Any], towers: list[ViTTower], preprocessor: RegionPreprocessor,
               embeddings: torch.Tensor) -> None:
    """The three rows of one scene.

    Args:
        rows: axes (3, 1 + towers).
        item: of a `RegionDataset`: ``inputs`` and ``data_samples``.
        towers: that read it.
        preprocessor: of their images.
        embeddings: unit embeddings of the classes (C, D).
    """
    upper, middle, lower = rows
    image, sample = item['inputs'], item['data_samples']
    batch = preprocessor(dict(inputs=[image], data_samples=[sample]))
    shape, point, patch = sample.ori_shape, inner_point(sample), preprocessor.patch_size
    query = token_at(point, shape, shape, patch)  # scenes are read at their own size
    colours = dict(cmap=class_colours(len(embeddings)), vmin=0, vmax=len(embeddings) - 1)
    upper[0].imshow(image.permute(1, 2, 0).numpy())
    middle[0].imshow(annotation(sample, sample.labels), interpolation='nearest', **colours)
    lower[0].imshow(image.permute(1, 2, 0).numpy())
    for tower, above, between, below in zip(towers, upper[1:], middle[1:], lower[1:]):
        dense = tower.encode_dense(batch['images'])  # (1, D, h, w)
        found = (pool_masks(dense, batch['masks']) @ embeddings.T).argmax(1)  # (K,)
        right = torch.where(found == sample.labels, found, len(embeddings))
        affinity = affinity_map(dense[0], *query)
        lowest, highest = colour_range(affinity, *query)
        show_map(above, class_map(dense[0], embeddings), shape, patch, **colours)
        between.imshow(annotation(sample, right), interpolation='nearest', **colours)
        show_map(below, affinity, shape, patch, cmap='viridis', vmin=lowest, vmax=highest)
    for axis in lower:
        axis.plot(*point, 'o', color='red', markeredgecolor='white', markersize=6)
    for axis, text in zip(rows[:, :2].flat, ('scene', 'class', 'annotation', 'masks named right', 'scene', 'affinity')):
        axis.set_ylabel(text)


def inner_point(sample: RegionSample) -> tuple[int, int]:
    """x and y of the pixel deepest inside the largest thing, in pixels."""
    things = [mask for mask, is_thing in zip(sample.masks.numpy(), sample.is_thing.tolist()) if is_thing]
    largest = max(things, key=np.sum).astype(np.uint8)
    depth = cv2.distanceTransform(np.pad(largest, 1), cv2.DIST_L2, 5)[1:-1, 1:-1]
    row, column = np.unravel_index(depth.argmax(), depth.shape)
    return int(column), int(row)


def annotation(sample: RegionSample, labels: torch.Tensor) -> np.ndarray:
    """The label (K,) of its mask at every pixel (H, W), NaN where nothing is annotated."""
    picture = np.full(sample.ori_shape, np.nan)
    for mask, label in zip(sample.masks.numpy().astype(bool), labels.tolist()):
        picture[mask] = label
    return picture
