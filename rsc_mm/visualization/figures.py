"""Figures of maps by matplotlib; nothing here opens a window or changes matplotlib's settings."""
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from rsc_mm.utils.files import replacing

from .palette import class_palette

OTHER = '0.35'  # dark grey


def panels(rows: int, columns: int, size: tuple[float, float]) -> tuple[Figure, np.ndarray]:
    """A figure with a grid of axes (rows, columns).

    Args:
        rows, columns: number of axes.
        size: width and height of one of them, in inches.
    """
    figure = Figure(figsize=(size[0] * columns, size[1] * rows))
    return figure, figure.subplots(rows, columns, squeeze=False)


def save_figure(figure: Figure, out: Path) -> Path:
    """Write a picture; folders are made.

    Args:
        figure: matplotlib's figure.
        out: file; its ending chooses the format.

    Returns:
        The file.
    """
    with replacing(out) as beside:
        figure.savefig(beside, dpi=100)
    return out


def class_colours(count: int) -> Colormap:
    """A colour for each of ``count`` classes or clusters; light grey for none (NaN), dark grey for numbers above.

    Args:
        count: number of colours.
    """
    colours = np.array(class_palette(count)).reshape(-1, 3) / 255  # (count, 3)
    return ListedColormap(colours).with_extremes(bad='0.85', over=OTHER)


def add_legend(figure: Figure, names: Sequence[str], note: str = '', columns: int | None = None,
               other: str = '') -> None:
    """Names of the classes in the colours of `class_colours` below the panels, and a line of text.

    The figure grows by their height.

    Args:
        figure: with its panels.
        names: in label order; none: no legend.
        note: what must be known to read the colours.
        columns: of the legend; default: as many as fit.
        other: what dark grey means; empty: there is none.
    """
    entries = [*names, other] if other else [*names]
    width, height = figure.get_size_inches()
    columns = columns or max(1, int(width / (0.35 + 0.075 * max(map(len, entries), default=1))))
    lines = -(-len(entries) // columns)
    margin = 0.1 + 0.17 * lines + 0.2 * bool(note)  # inches
    figure.set_size_inches(width, height + margin)
    figure.tight_layout(rect=(0, margin / (height + margin), 1, 1))
    if entries:
        colours: list[Any] = [*map(class_colours(len(names)), range(len(names))), OTHER]
        patches = [Patch(color=colour, label=entry) for colour, entry in zip(colours, entries)]
        above: Any = (0.5, 0.2 * bool(note) / height)
        figure.legend(handles=patches, ncols=columns, loc='lower center', fontsize=7, frameon=False,
                      bbox_to_anchor=above)
    if note:
        figure.text(0.5, 0.07 / (height + margin), note, ha='center', fontsize=7, wrap=True)


def show_map(axis: Axes, grid: torch.Tensor, shape: tuple[int, int], cell: float, **options: object) -> None:
    """A map of tokens in the pixels of the image file, without what lies in the padding.

    Args:
        axis: where to draw.
        grid: (h, w).
        shape: height and width of the image file.
        cell: side of a token in its pixels.
        options: of ``imshow``.
    """
    height, width = grid.shape
    # matplotlib's pixel 0 reaches from -0.5 to 0.5.
    extent = (-0.5, width * cell - 0.5, height * cell - 0.5, -0.5)
    axis.imshow(grid.numpy(), extent=extent, interpolation='nearest', **options)
    axis.set(xlim=(-0.5, shape[1] - 0.5), ylim=(shape[0] - 0.5, -0.5))
