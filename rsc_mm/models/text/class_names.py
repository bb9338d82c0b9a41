"""Lists of class names, from a vocabulary of this package, a file, or a list."""
import json
from collections.abc import Sequence
from pathlib import Path

VOCAB_DIR = Path(__file__).parents[2] / 'datasets' / 'vocab'


def vocabularies() -> list[str]:
    """Names of the vocabularies that ship with the package: 'coco', 'coco_panoptic', 'ov_coco' (the 65) ..."""
    return sorted(path.stem for path in VOCAB_DIR.glob('*.json'))


def read_class_names(names: str | Path | Sequence[str]) -> list[str]:
    """Class names in label order.

    Args:
        names: a list of T names; a name in `vocabularies`; a .txt file with a name on each line; or a .json file with
            a list of names or COCO-style ``categories`` (COCO, LVIS, panoptic; ordered by id).

    Returns:
        T names.

    Raises:
        FileNotFoundError: neither a vocabulary nor a file.
        ValueError: the file or list holds no names.
    """
    if not isinstance(names, (str, Path)):
        return _checked(list(names), 'the given names')
    if str(names) in vocabularies():
        return json.loads((VOCAB_DIR / f'{names}.json').read_text())
    path = Path(names)
    if not path.is_file():
        raise FileNotFoundError(f'class names {str(names)!r}: found neither such a file nor such a vocabulary, '
                                f'expected one of {vocabularies()} or a .txt or .json file')
    if path.suffix == '.txt':
        lines = path.read_text(encoding='utf-8-sig').splitlines()  # with or without a byte order mark
        return _checked([line.strip() for line in lines if line.strip()], str(path))
    return _checked(_json_names(path), str(path))


def _json_names(path: Path) -> list:
    try:
        content = json.loads(path.read_text(encoding='utf-8-sig'))
    except ValueError as error:
        raise ValueError(f'class names {path}: cannot be read as json ({error})') from error
    if isinstance(content, dict):
        content = content.get('categories', [])
    if content and all(isinstance(item, dict) and {'id', 'name'} <= item.keys() for item in content):
        return [item['name'] for item in sorted(content, key=lambda item: item['id'])]
    return content


def _checked(names: list, source: str) -> list[str]:
    odd = [name for name in names if not isinstance(name, str) or not name.strip()]
    if odd or not names:
        raise ValueError(f'class names in {source}: found {odd[:5] or "none"}, expected texts (in json: a list '
                         "of them, or 'categories' with id and name)")
    return names
