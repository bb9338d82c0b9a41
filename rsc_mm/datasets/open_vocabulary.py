"""Open-vocabulary splits of COCO-style annotation files: base annotations for training, counts, and their checks."""
import json
import mmap
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from rsc_mm.utils.files import replacing

# OVR-CNN's split of COCO (Zareian et al., 2021): images with an annotation, and classes.
OV_COCO_COUNTS = {'classes': 65, 'base classes': 48, 'novel classes': 17, 'train images': 107_761, 'val images': 4_836}
# LVIS v1: rare classes are novel (ViLD, Gu et al., 2022); images of the official files.
OV_LVIS_COUNTS = {'classes': 1_203, 'base classes': 866, 'novel classes': 337, 'official train images': 100_170,
                  'val images': 19_809}
FREQUENCIES = {'r': 'rare', 'c': 'common', 'f': 'frequent'}


def read_categories(path: str | Path) -> list[dict]:
    """The ``categories`` of a COCO-style json in the order of the file, without parsing the annotations.

    Args:
        path: the file.

    Returns:
        The categories; none where the file has no such list.
    """
    with open(path, 'rb') as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        found = re.search(rb'"categories"\s*:\s*(?=\[)', content)
        if found is None:
            return []
        size = 1 << 16
        while True:  # the list ends somewhere after its start: read on until it is whole
            text = content[found.end():found.end() + size].decode('utf-8', errors='ignore')
            try:
                return json.JSONDecoder().raw_decode(text)[0]
            except ValueError:
                if found.end() + size >= len(content):
                    raise
                size *= 8


def category_ids(content: dict[str, Any], names: Sequence[str]) -> list[int]:
    """Category ids of names, in the order of the names.

    Args:
        content: COCO-style annotations with ``categories``.
        names: T class names as the file writes them.

    Returns:
        T ids.

    Raises:
        ValueError: the file has no such category, or two of one name.
    """
    ids: dict[str, int] = {}
    for category in content['categories']:
        if category['name'] in ids:
            raise ValueError(f'categories: found the name {category["name"]!r} twice, expected different names')
        ids[category['name']] = category['id']
    missing = [name for name in names if name not in ids]
    if missing:
        raise ValueError(f'categories: found none named {", ".join(missing)} among the {len(ids)}, expected all of '
                         f'{len(names)} names; is this the official file?')
    return [ids[name] for name in names]


def frequency_ids(content: dict[str, Any]) -> dict[str, list[int]]:
    """Category ids of an LVIS file by frequency: 'r' rare, 'c' common, 'f' frequent; ascending.

    Args:
        content: LVIS annotations, whose ``categories`` have a ``frequency``.

    Raises:
        ValueError: a category has no frequency, or another one.
    """
    groups: dict[str, list[int]] = {frequency: [] for frequency in FREQUENCIES}
    for category in sorted(content['categories'], key=lambda category: category['id']):
        if category.get('frequency') not in groups:
            raise ValueError(f"categories: {category['name']}: found the frequency {category.get('frequency')!r}, "
                             f"expected one of {', '.join(groups)}; is this an LVIS v1 file?")
        groups[category['frequency']].append(category['id'])
    return groups


def split_annotations(content: dict[str, Any], annotated: Collection[int], listed: Collection[int]) -> dict[str, Any]:
    """The part of an annotation file that shows some classes only; ids stay the official ones.

    Crowd annotations count like others. Categories are written in the order of their ids: mmdet's datasets take the
    file's order for the label order.

    Args:
        content: COCO-style annotations; not changed.
        annotated: category ids whose annotations stay; images without any of them go.
        listed: category ids that ``categories`` keeps, a superset of ``annotated``.

    Returns:
        A new dict with the same top-level keys; images, annotations and categories are shared with ``content``.

    Raises:
        ValueError: an id is annotated and not listed.
    """
    annotated, listed = set(annotated), set(listed)
    if annotated - listed:
        raise ValueError(f'annotated: found the ids {sorted(annotated - listed)[:5]}, expected listed ones only')
    annotations = [row for row in content['annotations'] if row['category_id'] in annotated]
    shown = {row['image_id'] for row in annotations}
    images = [image for image in content['images'] if image['id'] in shown]
    categories = sorted((row for row in content['categories'] if row['id'] in listed), key=lambda row: row['id'])
    return {**content, 'images': images, 'annotations': annotations, 'categories': categories}


def check_classes(content: dict[str, Any], classes: Sequence[str]) -> None:
    """Makes sure that the label order of a model is the category order of a file, as mmdet's datasets read it.

    Args:
        content: COCO-style annotations.
        classes: T names in label order.

    Raises:
        ValueError: the first differing label, both names there, and both lengths.
    """
    names = [row['name'] for row in content['categories']]
    if list(classes) == names:
        return
    shorter = min(len(names), len(classes))
    first = next((i for i in range(shorter) if names[i] != classes[i]), shorter)
    here, there = ((repr(found[first]) if first < len(found) else 'nothing') for found in (classes, names))
    raise ValueError(f'classes: found {len(classes)} classes with {here} at label {first}, expected the {len(names)} '
                     f'categories of the annotation file with {there} there, in this order')


def compare_counts(found: dict[str, int], known: dict[str, int]) -> tuple[list[str], bool]:
    """One line for every count, and whether all known ones are met.

    Args:
        found: counted.
        known: what the official files give; a count without a known value is only stated.

    Returns:
        Lines such as 'train images: 50 DEVIATES from 107,761', and True where none deviates.
    """
    lines = []
    for name, count in found.items():
        verdict = '' if name not in known else ' as known' if count == known[name] else \
            f' DEVIATES from {known[name]:,}'
        lines.append(f'{name}: {count:,}{verdict}')
    return lines, all(found[name] == count for name, count in known.items() if name in found)


def write_annotations(path: Path, content: object) -> None:
    """Writes json, complete or not at all.

    Args:
        path: file that is not there yet.
        content: what json can hold.

    Raises:
        FileExistsError: it is there; nothing is overwritten.
        OSError: it could not be written.
    """
    if path.exists():
        raise FileExistsError(f'{path}: found the file there already, expected none; delete it to make it anew')
    with replacing(path) as partial:
        partial.write_text(json.dumps(content), encoding='utf-8')
