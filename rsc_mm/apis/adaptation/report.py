"""The report of an adaptation: figures, pictures, and the lines of Python that use the result."""
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rsc_mm.apis.evaluation_data import batches
from rsc_mm.datasets import RegionDataset
from rsc_mm.utils.regions import resized_shape
from rsc_mm.utils.tables import markdown_table
from rsc_mm.visualization import class_map
from rsc_mm.visualization.figures import add_legend, class_colours, panels, save_figure, show_map

from .measures import KEPT_AT_LEAST, Measured, Texts

NAMED_COLOURS = 12
"""Most classes that a picture tells apart; the rest is grey."""


def report_text(out: Path, title: str, found: Sequence[Measured], chosen: Measured, facts: list[list[str]],
                names: Sequence[str]) -> str:
    """The report in Markdown.

    Args:
        out: the adapted tower's file.
        title: headline.
        found: figures of the original and of the ensembles.
        chosen: the one in the file.
        facts: rows of a table: how it was trained.
        names: of the classes, for the example.
    """
    rows = [['original' if not one.alpha else f'{one.alpha:g}' + (' (chosen)' if one is chosen else ''),
             f'{one.agreement:.1f}', f'{one.kept:.1f}'] for one in found]
    enough = chosen.kept >= KEPT_AT_LEAST
    rule = (f'the best agreement among those that keep {KEPT_AT_LEAST:g} % of retrieval' if enough else
            f'what is kept of retrieval, since none keeps {KEPT_AT_LEAST:g} %')
    change = chosen.agreement - found[0].agreement
    before = f'{found[0].agreement:.1f} %'
    lines = [f'# {title}', '', f'The dense map named {before} of the held-out regions as the original '
             f'tower names their image crops, and {chosen.agreement:.1f} % after the adaptation ({change:+.1f}); '
             f'{chosen.kept:.1f} % of image retrieval by name is as before.', '',
             '![image, classes by the original tower, classes by the adapted one](pictures.png)', '',
             markdown_table(["student's share alpha", 'agreement with crops, %', 'retrieval kept, %'], rows), '',
             'Measured on images that were held out of the training. Agreement: regions whose dense embedding gets the '
             "class name that the original tower gives the region's image crop. Retrieval kept: of the images nearest "
             f'to each name, those that the original tower finds too; by chance {chosen.chance:.0f} %. The '
             f'file mixes the weights, alpha x student + (1 - alpha) x original; alpha is chosen by {rule}.', '']
    if change <= 0:
        lines += ['**The adaptation did not help here**: keep the original tower, or train on more images, with boxes '
                  '(--boxes), or with another --lr.', '']
    if not enough:
        lines += ['**Whole images are described otherwise than before**: if that matters, train with a lower --lr or '
                  'fewer --epochs. Where the original tower does not know the names, the figure means little.', '']
    shown = list(names[:3])
    return '\n'.join([*lines, '## Use it', '', '```python', 'import rsc_mm', '', f"model = rsc_mm.load('{out}')",
                      f"model.class_map('photo.jpg', {shown}).save('map.png')",
                      f"print(model.classify_regions('photo.jpg', [[10, 10, 90, 90]], {shown}))", '```', '',
                      '## How it was made', '', markdown_table(['', ''], facts), ''])


@torch.no_grad()
def draw_before_and_after(towers: Sequence[Any], preprocessor: Any, dataset: RegionDataset, texts: Texts, out: Path,
                          count: int = 5) -> Path:
    """Held-out images and the class of every token before and after.

    Args:
        towers: the original and the adapted one.
        preprocessor: of both.
        dataset: images.
        texts: of the class names.
        out: picture file.
        count: most images.

    Returns:
        The file.
    """
    count = min(count, len(dataset))
    items, maps = [], []
    for batch in batches(dataset, range(count), 1):
        items.append(batch['inputs'][0])
        images = preprocessor(batch)['images']
        maps.append([texts.owner[class_map(tower.encode_dense(images)[0].cpu(), texts.embeddings)]
                     for tower in towers])
    areas = np.bincount(np.concatenate([grid.flatten() for pair in maps for grid in pair]),
                        minlength=len(texts.classes))
    common = np.argsort(-areas, kind='stable')[:min(NAMED_COLOURS, int((areas > 0).sum()))]
    place = torch.full((len(texts.classes), ), float(len(common) + 1))
    place[common.tolist()] = torch.arange(len(common)).float()
    figure, axes = panels(3, count, (2.2, 2.1))
    colours = class_colours(len(common))
    for column, (image, pair) in enumerate(zip(items, maps)):
        shape = tuple(image.shape[1:])
        cell = preprocessor.patch_size * shape[1] / resized_shape(shape, preprocessor.image_size)[1]
        axes[0, column].imshow(image.permute(1, 2, 0).numpy())
        for row, grid in enumerate(pair, 1):
            show_map(axes[row, column], place[grid], shape, cell, cmap=colours, vmin=0, vmax=len(common) - 1)
    for axis, title in zip(axes[:, 0], ('image', 'original', 'adapted')):
        axis.set_ylabel(title)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
    add_legend(figure, [texts.classes[i] for i in common], other='other' if (areas > 0).sum() > len(common) else '')
    return save_figure(figure, out)
