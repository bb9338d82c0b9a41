"""The Shapes table: zero-shot region classification and coupling ratio of every method over several seeds.

  python tools/benchmarks/shapes_table.py --seeds 0 1 2 --jobs 2

Trains each configuration once per seed and evaluates it on the val split; the original tower is evaluated once. Every
finished part is kept in --work-dir, so the same command goes on after an interruption; --split dev is for tuning.
Prints mean and standard deviation over the seeds (accuracies in percent, coupling ratios: 1 is none) and writes
table_SPLIT.md and table_SPLIT.json. The Refiner's row is its own output, region by region.
"""
import argparse
import json
from pathlib import Path

from rsc_mm.apis.shapes_experiments import CLIP, EVALUATION, METHODS, Run, distil_all, evaluate, format_table, prepare


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--seeds', nargs='+', type=int, default=[0, 1, 2])
    parser.add_argument('--methods', nargs='+', choices=list(METHODS), default=list(METHODS))
    parser.add_argument('--split', choices=['val', 'dev'], default='val')
    parser.add_argument('--jobs', type=int, default=1, help='runs at a time, each with its share of the cores')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/shapes_table'))
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    prepare(region_text=any('Region-Text' in method for method in args.methods))
    original = evaluate(Run(EVALUATION), CLIP, args.work_dir / f'original_{args.split}', args.split)
    pairs = [(method, seed) for method in args.methods for seed in args.seeds]
    results = distil_all([(METHODS[method], seed) for method, seed in pairs], args.work_dir, args.split, args.jobs)
    table = {method: [r for (m, _), r in zip(pairs, results) if m == method] for method in args.methods}
    text = format_table(original, table)
    print(text)
    (args.work_dir / f'table_{args.split}.md').write_text(text + '\n')
    (args.work_dir / f'table_{args.split}.json').write_text(json.dumps({'original': original, **table}, indent=1))


if __name__ == '__main__':
    main()
