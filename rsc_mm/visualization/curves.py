"""Curves of a training."""
from collections.abc import Callable
from pathlib import Path

from matplotlib.axes import Axes

from .figures import panels, save_figure

Curve = tuple[list[int], list[float]]
MARKED = 30
"""Curves of at most so many points show them."""


def draw_curves(groups: dict[str, dict[str, Curve]], out: Path) -> Path:
    """A panel for each group, side by side, over the steps of training.

    Args:
        groups: title -> name of a curve -> its steps and values; a group without a point is left out.
        out: picture file.

    Returns:
        The file.

    Raises:
        ValueError: no group has a point.
    """
    drawn = {title: {name: curve for name, curve in curves.items() if curve[0]} for title, curves in groups.items()}
    drawn = {title: curves for title, curves in drawn.items() if curves}
    if not drawn:
        raise ValueError(f'draw_curves.groups: found no point in {list(groups)}, expected at least one')
    figure, axes = panels(1, len(drawn), (4, 3))
    for axis, (title, curves) in zip(axes.flat, drawn.items()):
        _draw(axis, title, curves)
    figure.tight_layout()
    return save_figure(figure, out)


def _draw(axis: Axes, title: str, curves: dict[str, Curve]) -> None:
    plot: Callable = axis.plot
    for name, (steps, values) in curves.items():
        plot(steps, values, label=name, linewidth=1.2, marker='.' if len(steps) <= MARKED else None)
    axis.set_title(title, fontsize=10)
    axis.set_xlabel('step', fontsize=8)
    axis.tick_params(labelsize=7)
    axis.grid(alpha=0.3)
    axis.legend(fontsize=7, frameon=False)
