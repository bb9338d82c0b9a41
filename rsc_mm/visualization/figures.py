"""Figures of maps by matplotlib; nothing here opens a window or changes matplotlib's settings."""
from pathlib import Path

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure


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
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=100)
    return out


def class_colours(count: int) -> ListedColormap:
    """A colour for each of ``count`` classes or clusters; light grey where there is none (NaN).

    Args:
        count: number of colours.
    """
    few = colormaps['tab20'].colors
    colours = few[:count] if count <= len(few) else colormaps['nipy_spectral'].resampled(count)(range(count))
    return ListedColormap(colours).with_extremes(bad='0.85')


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
