"""What goes into an exported file and what comes out: names, axes and meaning."""
from collections.abc import Callable
from dataclasses import dataclass

import torch

Run = Callable[[tuple[torch.Tensor, ...]], list[torch.Tensor]]
"""A graph's inputs to its outputs, by whatever runs its file."""


@dataclass(frozen=True)
class Port:
    """An input or output of an exported file.

    Attributes:
        name: in the file.
        axes: a name or a number for each; all but numbers and 'embedding' (D of the tower) may have any length.
        meaning: one sentence with unit and range.
        dtype: of the values.
    """

    name: str
    axes: tuple[int | str, ...]
    meaning: str
    dtype: torch.dtype = torch.float32

    @property
    def open_axes(self) -> dict[int, str]:
        """The axes of any length: number and name."""
        return {axis: name for axis, name in enumerate(self.axes) if isinstance(name, str) and name != 'embedding'}

    def describe(self) -> str:
        """Axes, type and meaning in one line."""
        return f'({", ".join(map(str, self.axes))}) {str(self.dtype).removeprefix("torch.")}: {self.meaning}'
