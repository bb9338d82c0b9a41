"""Lists of class names, from a vocabulary of this package, a file, or a list, and how prompts read them."""
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

VOCAB_DIR = Path(__file__).parents[2] / 'datasets' / 'vocab'


def vocabularies() -> list[str]:
    """Names of the vocabularies that ship with the package: 'coco', 'ov_coco' (the 65), 'lvis', 'voc20', 'ade150' ...

    A vocabulary is a json file with a list of names as its data set writes them, or with ``names`` and ``aliases``, see
    `read_aliases`.
    """
    return sorted(path.stem for path in VOCAB_DIR.glob('*.json'))


def read_class_names(names: str | Path | Sequence[str]) -> list[str]:
    """Class names in label order.

    Args:
        names: a list of T names; a name in `vocabularies`; a .txt file with a name on each line; or a .json file with
            a list of names, a vocabulary (``names``) or COCO-style ``categories`` (COCO, LVIS, panoptic; ordered by
            id).

    Returns:
        T names.

    Raises:
        FileNotFoundError: neither a vocabulary nor a file.
        ValueError: the file or list holds no names.
    """
    if not isinstance(names, (str, Path)):
        return _checked(list(names), 'the given names')
    if str(names) in vocabularies():
        return _json_names(VOCAB_DIR / f'{names}.json')
    path = Path(names)
    if not path.is_file():
        raise FileNotFoundError(f'class names {str(names)!r}: found neither such a file nor such a vocabulary, '
                                f'expected one of {vocabularies()} or a .txt or .json file')
    if path.suffix == '.txt':
        lines = path.read_text(encoding='utf-8-sig').splitlines()  # with or without a byte order mark
        return _checked([line.strip() for line in lines if line.strip()], str(path))
    return _checked(_json_names(path), str(path))


def read_aliases(names: str | Path | Sequence[str] | Mapping[str, str] | None) -> dict[str, str]:
    """What prompts read in the place of names: 'dining table' for VOC's label 'diningtable'.

    Labels stay as the data set writes them. A vocabulary gives aliases to the names that are run together, misspelt or
    cut short, itself or by the name of another vocabulary.

    Args:
        names: as `read_class_names` takes them: a vocabulary or .json file may hold ``aliases``, all others have none;
            or the aliases themselves, name -> text; None: none.

    Returns:
        Texts by name; most names have none.

    Raises:
        FileNotFoundError: neither a vocabulary nor a file.
        ValueError: an alias is no text.
    """
    if isinstance(names, (str, Path)) and str(names) in vocabularies():
        names = VOCAB_DIR / f'{names}.json'
    if isinstance(names, (str, Path)):
        return _file_aliases(Path(names))
    if not isinstance(names, Mapping):
        return {}
    bad = [name for name, text in names.items() if not isinstance(text, str) or not text.strip()]
    if bad:
        raise ValueError(f'aliases of class names: found {names[bad[0]]!r} for {bad[0]!r}, expected a text')
    return dict(names)


def _file_aliases(path: Path) -> dict[str, str]:
    if not path.is_file():
        read_class_names(path)  # which says what is expected
    # Annotation files, which have none, may have gigabytes: only a file with the word is parsed.
    if path.suffix != '.json' or b'"aliases"' not in path.read_bytes():
        return {}
    content = _read_json(path)
    return read_aliases(content.get('aliases') if isinstance(content, dict) else None)


def _read_json(path: Path) -> list | dict:
    try:
        return json.loads(path.read_text(encoding='utf-8-sig'))
    except ValueError as error:
        raise ValueError(f'class names {path}: cannot be read as json ({error})') from error


def _json_names(path: Path) -> list:
    content = _read_json(path)
    if isinstance(content, dict):
        content = content.get('names', content.get('categories', []))
    if content and all(isinstance(item, dict) and {'id', 'name'} <= item.keys() for item in content):
        return [item['name'] for item in sorted(content, key=lambda item: item['id'])]
    return content


def _checked(names: list, source: str) -> list[str]:
    odd = [name for name in names if not isinstance(name, str) or not name.strip()]
    if odd or not names:
        raise ValueError(f'class names in {source}: found {odd[:5] or "none"}, expected texts (in json: a list '
                         "of them, or 'categories' with id and name)")
    return names
