"""Make the annotation files of OV-COCO (48 base, 17 novel classes) from COCO's official ones.

  python tools/data/prepare_ov_coco.py --data-root data/coco

Reads annotations/instances_train2017.json and instances_val2017.json and writes beside them

  instances_train2017_base.json   images with an annotation of a base class, base annotations only
  instances_val2017_ov.json       images with an annotation of the 65 classes, and these annotations

Both list the 65 categories under their official ids, so that heads of 48 and of 65 classes read the training file:
mmdet's CocoDataset picks the categories by metainfo.classes. Counts are printed and compared with the known ones of the
official files; DEVIATES marks what differs, and with --strict the exit status is then 1. Files that are there already
are never overwritten; delete them to make them anew.
"""
import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from rsc_mm.apis.command_line import run_tool
from rsc_mm.datasets.annotations import load_json
from rsc_mm.datasets.open_vocabulary import (
    OV_COCO_COUNTS,
    category_ids,
    compare_counts,
    split_annotations,
    write_annotations,
)
from rsc_mm.models.text import read_class_names

FILES = {'train': ('instances_train2017.json', 'instances_train2017_base.json'),
         'val': ('instances_val2017.json', 'instances_val2017_ov.json')}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data-root', type=Path, default=Path(os.environ.get('COCO_ROOT', 'data/coco')),
                        help='COCO with annotations/; default: $COCO_ROOT or data/coco')
    parser.add_argument('--splits', nargs='+', choices=list(FILES), default=list(FILES), help='default: both')
    parser.add_argument('--strict', action='store_true', help='exit status 1 if a count deviates')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    folder = args.data_root / 'annotations'
    there = [str(folder / FILES[split][1]) for split in args.splits if (folder / FILES[split][1]).exists()]
    if there:
        raise SystemExit(f'{", ".join(there)}: found there already; delete to make anew, or choose --splits')
    classes, base, novel = (read_class_names(name) for name in ('ov_coco', 'coco_base', 'coco_novel'))
    found = {'classes': len(classes), 'base classes': len(base), 'novel classes': len(novel)}
    for split in args.splits:
        found.update(make_split(folder, split, classes, base if split == 'train' else classes, novel))
    lines, as_known = compare_counts(found, OV_COCO_COUNTS)
    print('\n'.join(lines))
    if not as_known and args.strict:
        raise SystemExit('counts deviate from those of the official files')


def make_split(folder: Path, split: str, classes: Sequence[str], shown: Sequence[str],
               novel: Sequence[str]) -> dict[str, int]:
    """Writes one file and counts it.

    Args:
        folder: of the annotation files.
        split: 'train' or 'val'.
        classes: the 65 names.
        shown: the names whose annotations stay.
        novel: the 17 names.

    Returns:
        Images, annotations, and annotations of novel classes.
    """
    source, out = (folder / name for name in FILES[split])
    content = load_json(source)
    try:
        part = split_annotations(content, category_ids(content, shown), category_ids(content, classes))
        novel_ids = set(category_ids(content, novel))
    except (ValueError, KeyError) as error:
        raise SystemExit(f'{source}: {error}') from error
    write_annotations(out, part)
    print(f'wrote {out}', flush=True)
    return {f'{split} images': len(part['images']), f'{split} annotations': len(part['annotations']),
            f'{split} annotations of novel classes': sum(row['category_id'] in novel_ids
                                                         for row in part['annotations'])}


if __name__ == '__main__':
    run_tool(main)
