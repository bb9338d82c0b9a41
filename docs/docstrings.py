"""Docstrings, written for Sphinx, as the site's Markdown: equations between dollars, tables between bars."""
import re
from typing import Any

import griffe

from rsc_mm.utils.tables import markdown_table

BLOCK = re.compile(r'^(?P<indent> *)\.\. math::(?P<tex>.*(?:\n(?P=indent) +\S.*)*)', re.M)
INLINE = re.compile(r':math:`([^`]+)`')
TABLE = re.compile(r'^ *(?P<ruler>=+(?: =+)+)\n(?P<head>(?:.+\n)*? *(?P=ruler)\n)?(?P<rows>(?:.+\n)+?) *(?P=ruler)$',
                   re.M)


def to_markdown(text: str) -> str:
    r"""A docstring in Markdown.

    ``.. math:: x`` with its indented lines becomes a block between double dollars, ``:math:`x``` is $x$, and a table
    between rulers of equals signs is Markdown's.
    """
    text = TABLE.sub(_table, text)
    text = BLOCK.sub(lambda match: f'{match["indent"]}$$ {" ".join(match["tex"].split())} $$', text)
    return INLINE.sub(lambda match: f'${match[1]}$', text)


def _table(match: re.Match) -> str:
    indent = match[0].index('=')
    starts = [indent + column.start() for column in re.finditer('=+', match['ruler'])]
    ends = [*(start - 1 for start in starts[1:]), None]
    cells = [[line[start:end].strip().replace('|', '\\|') for start, end in zip(starts, ends)]
             for line in ((match['head'] or '') + match['rows']).splitlines() if '==' not in line]
    header, rows = (cells[0], cells[1:]) if match['head'] else ([''] * len(starts), cells)
    return markdown_table(header, rows)


class Docstrings(griffe.Extension):
    """Rewrites the docstring of every object before it is parsed."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Called by griffe for each module, class, function and attribute."""
        if obj.docstring:
            obj.docstring.value = to_markdown(obj.docstring.value)
