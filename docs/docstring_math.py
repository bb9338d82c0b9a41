"""Equations of docstrings, written for Sphinx, as the dollars that the site's Markdown reads."""
import re
from typing import Any

import griffe

BLOCK = re.compile(r'^(?P<indent> *)\.\. math::(?P<tex>.*(?:\n(?P=indent) +\S.*)*)', re.M)
INLINE = re.compile(r':math:`([^`]+)`')


def to_dollars(text: str) -> str:
    r"""``.. math:: x`` with its indented lines becomes a block between double dollars, ``:math:`x``` is $x$."""
    text = BLOCK.sub(lambda match: f'{match["indent"]}$$ {" ".join(match["tex"].split())} $$', text)
    return INLINE.sub(lambda match: f'${match[1]}$', text)


class DocstringMath(griffe.Extension):
    """Rewrites the docstring of every object before it is parsed."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Called by griffe for each module, class, function and attribute."""
        if obj.docstring:
            obj.docstring.value = to_dollars(obj.docstring.value)
