"""Make the training file of OV-LVIS (866 base classes: frequent and common) from LVIS v1's official files.

  python tools/data/prepare_ov_lvis.py --data-root data/lvis_v1

Reads annotations/lvis_v1_train.json and lvis_v1_val.json and writes beside them

  lvis_v1_train_base.json   images with an annotation of a base class, base annotations only, official category ids
  lvis_v1_base.txt          the 866 base class names in the order of their ids: mmdet's metainfo=dict(classes=FILE)
  lvis_v1_novel.txt         the 337 novel ones (rare)
  lvis_v1_all.txt           all 1,203, for the validation file, which is used as it is

mmdet's LVISV1Dataset makes a label of every category in its file, whatever metainfo says: the training file lists all
1,203 categories, as F-ViT's head wants it, which masks the novel ones; with --base-categories only the 866, for a head
of 866 classes. The validation file is checked: the same categories and frequencies. Counts are printed and compared
with the known ones; DEVIATES marks what differs, and with --strict the exit status is then 1. Nothing is overwritten.
"""
import argparse
import os
from pathlib import Path
from typing import Any

from rsc_mm.apis.command_line import run_tool
from rsc_mm.datasets.annotations import load_json
from rsc_mm.datasets.open_vocabulary import (
    FREQUENCIES,
    OV_LVIS_COUNTS,
    compare_counts,
    frequency_ids,
    split_annotations,
    write_annotations,
)
from rsc_mm.utils.files import replacing

OUT = 'lvis_v1_train_base.json'
LISTS = {'lvis_v1_base.txt': 'cf', 'lvis_v1_novel.txt': 'r', 'lvis_v1_all.txt': 'rcf'}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data-root', type=Path, default=Path(os.environ.get('LVIS_ROOT', 'data/lvis_v1')),
                        help='LVIS with annotations/; default: $LVIS_ROOT or data/lvis_v1')
    parser.add_argument('--base-categories', action='store_true', help='list the 866 base categories only')
    parser.add_argument('--strict', action='store_true', help='exit status 1 if something deviates')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    folder = args.data_root / 'annotations'
    there = [str(folder / name) for name in (OUT, *LISTS) if (folder / name).exists()]
    if there:
        raise SystemExit(f'{", ".join(there)}: found there already; delete to make anew')
    train = read_lvis(folder / 'lvis_v1_train.json')
    found = make_training_file(train, folder, args.base_categories)
    groups = category_groups(train)
    del train  # a gigabyte of json
    val = read_lvis(folder / 'lvis_v1_val.json')
    found['val images'] = len(val['images'])
    lines, as_known = compare_counts(found, OV_LVIS_COUNTS)
    different = sorted(category_groups(val).items() ^ groups.items())
    lines.append(f'categories of val: {f"DEVIATE from train, first {different[0]}" if different else "those of train"}')
    print('\n'.join(lines))
    if args.strict and (different or not as_known):
        raise SystemExit('the files deviate from the official ones')


def read_lvis(path: Path) -> dict[str, Any]:
    """An LVIS file whose categories have frequencies.

    Args:
        path: json file.
    """
    content = load_json(path)
    try:
        frequency_ids(content)
    except (ValueError, KeyError) as error:
        raise SystemExit(f'{path}: {error}') from error
    return content


def category_groups(content: dict[str, Any]) -> dict[int, tuple[str, str]]:
    """Name and frequency of every category id.

    Args:
        content: LVIS annotations.
    """
    return {row['id']: (row['name'], row['frequency']) for row in content['categories']}


def make_training_file(content: dict[str, Any], folder: Path, base_only: bool) -> dict[str, int]:
    """Writes the training file and the lists of names, and counts.

    Args:
        content: LVIS v1 train.
        folder: where to write.
        base_only: whether rare categories are left out of the list.

    Returns:
        Classes, images and annotations.
    """
    groups = frequency_ids(content)
    base = groups['c'] + groups['f']
    part = split_annotations(content, base, base if base_only else [*base, *groups['r']])
    write_annotations(folder / OUT, part)
    names = {row['id']: row['name'] for row in content['categories']}
    for name, frequencies in LISTS.items():
        ids = sorted(i for frequency in frequencies for i in groups[frequency])
        with replacing(folder / name) as beside:
            beside.write_text(''.join(f'{names[i]}\n' for i in ids), encoding='utf-8')
    print(f'wrote {folder / OUT} and {", ".join(LISTS)}', flush=True)
    return {'classes': len(content['categories']), 'base classes': len(base), 'novel classes': len(groups['r']),
            **{f'{FREQUENCIES[key]} classes': len(ids) for key, ids in groups.items()},
            'official train images': len(content['images']), 'train images': len(part['images']),
            'train annotations': len(part['annotations'])}


if __name__ == '__main__':
    run_tool(main)
