"""Figures as text."""
import json
from pathlib import Path

from .files import replacing


def markdown_table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table.

    Args:
        header: names of the columns.
        rows: cells.
    """
    return '\n'.join('| ' + ' | '.join(row) + ' |' for row in [header, ['---'] * len(header), *rows])


def aligned_table(rows: list[dict]) -> str:
    """Rows as aligned text, floats with three decimals.

    Args:
        rows: of equal keys.
    """
    cells = [list(rows[0])] + [[f'{v:.3f}' if isinstance(v, float) else str(v) for v in row.values()] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells)]
    return '\n'.join('  '.join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in cells)


def write_json(path: Path, figures: dict | list) -> None:
    """Write figures as json, complete or not at all; folders are made.

    Args:
        path: file.
        figures: what json can hold.
    """
    with replacing(path) as beside:
        beside.write_text(json.dumps(figures, indent=1), encoding='utf-8')
