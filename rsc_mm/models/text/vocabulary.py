"""Which classes a detector knows, which of them it was trained on, and how its annotation files number them."""
from collections.abc import Sequence
from pathlib import Path

from rsc_mm.datasets.open_vocabulary import read_categories

from .class_names import read_class_names
from .prompts import clean_name

BACKGROUND = 'background'


def read_base_classes(base: str | Path | Sequence[str]) -> list[str]:
    """Names of the classes that training annotates.

    Args:
        base: a list of names; a vocabulary or file as `read_class_names` takes it; or a COCO-style json whose
            categories say it themselves: ``split`` 'base' (Shapes) or ``frequency`` 'c' or 'f' (LVIS).

    Returns:
        Names, in no particular order.

    Raises:
        FileNotFoundError: neither a vocabulary nor a file.
        ValueError: the file or list holds no names.
    """
    if isinstance(base, (str, Path)) and Path(base).suffix == '.json' and Path(base).is_file():
        categories = read_categories(base)
        if categories and all('split' in category for category in categories):
            return [category['name'] for category in categories if category['split'] == 'base']
        if categories and all('frequency' in category for category in categories):
            return [category['name'] for category in categories if category['frequency'] in 'cf']
    return read_class_names(base)


def match_names(names: Sequence[str], known: Sequence[str]) -> list[int]:
    """Which of the known names each name is: equal but for case, underscores and slashes, see `clean_name`.

    Other spellings of a thing ('car' and LVIS's 'car_(automobile)') do not match: rename one of them.

    Args:
        names: T names.
        known: other names; of several equal ones the first counts.

    Returns:
        T places among the known names, -1 where there is none.
    """
    places = {clean_name(name): i for i, name in reversed(list(enumerate(known)))}
    return [places.get(clean_name(name), -1) for name in names]


def class_order_difference(found: Sequence[str], expected: Sequence[str]) -> str:
    """What differs between two lists of class names, in words; empty if nothing does.

    Args:
        found: names in label order.
        expected: names in label order.
    """
    if list(found) == list(expected):
        return ''
    parts = [f'found {len(found)} classes, expected {len(expected)}']
    first = next((i for i, pair in enumerate(zip(found, expected)) if pair[0] != pair[1]), None)
    if first is not None:
        parts.append(f'first difference at label {first}: found {found[first]!r}, expected {expected[first]!r}')
    for title, names in (('missing', [name for name in expected if name not in set(found)]),
                         ('not expected', [name for name in found if name not in set(expected)])):
        if names:
            parts.append(f'{title}: {names[:8]}' + (f' and {len(names) - 8} more' if len(names) > 8 else ''))
    return '; '.join(parts)
