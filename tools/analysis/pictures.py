"""Pictures of the analysis tools."""
from pathlib import Path

import matplotlib
import torch
from matplotlib.colors import ListedColormap

matplotlib.use('Agg')
from matplotlib import pyplot as plt  # noqa: E402  the backend is chosen first


def save_figure(figure: plt.Figure, out: Path) -> None:
    """Write a picture and say where.

    Args:
        figure: matplotlib's figure.
        out: file; its ending chooses the format.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=100)
    plt.close(figure)
    print(f'wrote {out}')


def class_colours(count: int) -> ListedColormap:
    """A colour for each of ``count`` classes or clusters; light grey where there is none (NaN).

    Args:
        count: number of colours.
    """
    few = plt.get_cmap('tab20').colors
    colours = few[:count] if count <= len(few) else plt.get_cmap('nipy_spectral', count)(range(count))
    return ListedColormap(colours).with_extremes(bad='0.85')


def show_map(axis: plt.Axes, grid: torch.Tensor, shape: tuple[int, int], cell: float, **options: object) -> None:
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
