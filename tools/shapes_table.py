"""The Shapes table: zero-shot region classification of every method over several seeds.

  python tools/shapes_table.py --seeds 0 1 2 --jobs 2

Trains each configuration once per seed and evaluates it on the val split; the original tower is evaluated once. Every
finished part is kept in --work-dir, so the same command goes on after an interruption; --split dev is for tuning.
Prints mean and standard deviation over the seeds, in percent, and writes table_SPLIT.md and table_SPLIT.json.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

CONFIGS = {
    'CLIPSelf (grid)': 'configs/shapes/clipself_grid.py',
    'CLIPSelf (proposals)': 'configs/shapes/clipself_proposals.py',
    'Region-Text': 'configs/shapes/region_text.py',
}
COLUMNS = {'boxes_top1': 'boxes', 'thing_masks_top1': 'thing masks', 'stuff_masks_top1': 'stuff masks'}
BOUNDS = {'thing_crops_top1': 'boxes', 'stuff_crops_top1': 'stuff masks'}
CLIP = 'projects/shapes_clip/shapes_clip.pt'
EVALUATION = 'configs/shapes/region_classification.py'
# On a CPU, memory that is reused instead of mapped anew for every tensor, and plain matrix products for attention over
# few tokens, make a step 1.5 times as fast (0.389 -> 0.261 s, tools/benchmark.py, one core).
FAST_CPU = {'MALLOC_MMAP_THRESHOLD_': '8000000000', 'MALLOC_TRIM_THRESHOLD_': '16000000000', 'TIMM_FUSED_ATTN': '0'}
REGION_TEXT = Path('data/shapes/annotations/region_text_train.json')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--seeds', nargs='+', type=int, default=[0, 1, 2])
    parser.add_argument('--methods', nargs='+', choices=list(CONFIGS), default=list(CONFIGS))
    parser.add_argument('--split', choices=['val', 'dev'], default='val')
    parser.add_argument('--jobs', type=int, default=1, help='runs at a time, each with its share of the cores')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/shapes_table'))
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    threads = max(1, os.cpu_count() // args.jobs)
    run([sys.executable, 'tools/make_shapes.py', '--out', 'data/shapes'])
    if 'Region-Text' in args.methods and not REGION_TEXT.exists():
        run([sys.executable, 'tools/generate_region_text.py', CONFIGS['CLIPSelf (proposals)'], str(REGION_TEXT),
             '--nouns', 'data/shapes/annotations/panoptic_train.json', '--prompts', 'single', '--workers', '0'])
    original = evaluate(CLIP, args.work_dir / f'original_{args.split}', args.split)
    pairs = [(method, seed) for method in args.methods for seed in args.seeds]
    with ThreadPoolExecutor(args.jobs) as pool:
        results = list(pool.map(lambda pair: distil(*pair, args, threads), pairs))
    table = {method: [r for (m, _), r in zip(pairs, results) if m == method] for method in args.methods}
    text = format_table(original, table)
    print(text)
    (args.work_dir / f'table_{args.split}.md').write_text(text + '\n')
    (args.work_dir / f'table_{args.split}.json').write_text(json.dumps({'original': original, **table}, indent=1))


def distil(method: str, seed: int, args: argparse.Namespace, threads: int) -> dict[str, float]:
    """Train and evaluate one method with one seed; what is finished is not done again."""
    config = CONFIGS[method]
    work_dir = args.work_dir / f'{Path(config).stem}_{seed}'
    checkpoint = train(config, work_dir, seed, threads)
    return evaluate(checkpoint, work_dir / args.split, args.split, threads)


def train(config: str, work_dir: Path, seed: int = 0, threads: int | None = None) -> str:
    """Train, or go on with an interrupted run, and return the last checkpoint's path."""
    done = work_dir / 'done'
    if not done.exists():
        run([sys.executable, 'tools/train.py', config, '--work-dir', str(work_dir), '--resume', '--cfg-options',
             f'randomness.seed={seed}', 'val_cfg=None', 'val_dataloader=None', 'val_evaluator=None'], threads)
        done.write_text((work_dir / 'last_checkpoint').read_text())
    return done.read_text().strip()


def evaluate(checkpoint: str, work_dir: Path, split: str = 'val', threads: int | None = None) -> dict[str, float]:
    """Zero-shot region classification of a tower on a split."""
    metrics = work_dir / 'metrics.json'
    if not metrics.exists():
        run([sys.executable, 'tools/test.py', EVALUATION, checkpoint, '--work-dir', str(work_dir), '--cfg-options',
             f'test_dataloader.dataset.ann_file=annotations/panoptic_{split}.json',
             f'test_dataloader.dataset.img_prefix={split}', f'test_dataloader.dataset.seg_prefix=panoptic_{split}'],
            threads)
    return json.loads(metrics.read_text())


def run(command: list[str], threads: int | None = None) -> None:
    """Run a command with its output on the console; stop with its exit status if it fails."""
    start = time.time()
    limit = {} if threads is None else {'OMP_NUM_THREADS': str(threads)}
    status = subprocess.run(command, env={**FAST_CPU, **os.environ, **limit}).returncode
    if status:
        raise SystemExit(f'stopped: {" ".join(command)} ended with status {status}; the same command goes on from here')
    print(f'[{time.time() - start:.0f} s] {" ".join(command[1:4])}', flush=True)


def format_table(original: dict[str, float], table: dict[str, list[dict[str, float]]]) -> str:
    """Top-1 mean accuracies as a Markdown table.

    Args:
        original: metrics of the original tower.
        table: for each method the metrics of its seeds.
    """
    rows = [['', *COLUMNS.values()], ['---'] * (len(COLUMNS) + 1)]
    rows.append(['original', *(f'{original[name]:.1f}' for name in COLUMNS)])
    for method, results in table.items():
        rows.append([method, *(spread([result[name] for result in results]) for name in COLUMNS)])
    bounds = {BOUNDS[name]: f'{original[name]:.1f}' for name in BOUNDS}
    rows.append(["original's image crops (upper bound)", *(bounds.get(name, '') for name in COLUMNS.values())])
    return '\n'.join('| ' + ' | '.join(row) + ' |' for row in rows)


def spread(values: list[float]) -> str:
    """Mean, and standard deviation where there are several values."""
    mean = statistics.mean(values)
    return f'{mean:.1f} ± {statistics.stdev(values):.1f}' if len(values) > 1 else f'{mean:.1f}'


if __name__ == '__main__':
    main()
