"""The texts that stand for classes where each class may have several."""
from collections.abc import Mapping, Sequence
from pathlib import Path

from .class_names import read_class_names


def split_vocabulary(text: str) -> list[str]:
    """Classes of a command line: 'sky, grass, dog; puppy' has three, the last with two names.

    Args:
        text: classes between commas.

    Raises:
        ValueError: there is none.
    """
    classes = [' '.join(part.split()) for part in text.split(',') if part.strip(' ;')]
    if not classes:
        raise ValueError(f'vocabulary: found {text!r}, expected classes between commas, such as "sky, grass, dog; '
                         'puppy"')
    return classes


def class_queries(classes: str | Path | Sequence[str], aliases: Mapping[str, str] | None = None,
                  separator: str = ';') -> tuple[list[str], list[list[str]]]:
    """Names of classes, and the texts (synonyms) by which each is looked for.

    Args:
        classes: as `read_class_names` takes them. A given name may itself hold synonyms: 'dog; puppy'; the first is
            then the name.
        aliases: what is read in the place of some names, with synonyms or without, see `read_aliases`.
        separator: between synonyms.

    Returns:
        T names, and for each its texts, side by side in the order of the classes.

    Raises:
        ValueError: a class is named twice, or none has a text.
    """
    given = read_class_names(classes)
    texts = [[part.strip() for part in (aliases or {}).get(name, name).split(separator) if part.strip()]
             for name in given]
    names = [name.split(separator)[0].strip() for name in given]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f'classes: found {twice[:8]} twice, expected every name once')
    if not any(texts):
        raise ValueError(f'classes: found no text for any of {names[:8]}, expected at least one')
    return names, texts
