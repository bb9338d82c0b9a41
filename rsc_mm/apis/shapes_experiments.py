"""Trainings and evaluations on Shapes and Creatures as commands, each done once; quickstart and tables run them.

To be called in the repository's root: the commands are its tools on its configurations.
"""
import json
import os
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from rsc_mm.utils.tables import markdown_table


@dataclass(frozen=True)
class Run:
    """One training: a configuration, overrides of it, the Refiner that stage 2 of R-SC reads, and overrides with which
    the trained tower is evaluated."""

    config: str
    options: tuple[str, ...] = ()
    refiner: 'Run | None' = None
    evaluation: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The work directory's name: the configuration's, and what the overrides change."""
        pairs = [option.partition('=')[::2] for option in self.options if '._delete_=' not in option]
        changes = [f'{key.rpartition(".")[2]}={Path(value).name}' for key, value in pairs]
        own = '_'.join([Path(self.config).stem, *changes])
        return own if self.refiner in (None, REFINER, CREATURES_REFINER) else f'{own}__{self.refiner.name}'


def set_readout(**readout: str | int | bool) -> tuple[str, ...]:
    """Overrides that give a configuration's tower a readout in the place of its own.

    Args:
        readout: its ``type`` and fields.
    """
    return ('model.backbone.readout._delete_=True',
            *(f'model.backbone.readout.{field}={value}' for field, value in readout.items()))


def read_as_trained(**readout: str | int | bool) -> tuple[str, ...]:
    """Overrides of the evaluation for a tower of DeCLIP or DenseRC: its readout, regions pooled as in its training.

    Args:
        readout: its ``type`` and fields.
    """
    return ('model.unit_tokens=False', *set_readout(**readout))


REFINER = Run('configs/shapes/refiner.py')
METHODS = {
    'CLIPSelf (grid)': Run('configs/shapes/clipself_grid.py'),
    'R-SC-CLIPSelf (grid)': Run('configs/shapes/r_sc_clipself_grid.py', refiner=REFINER),
    'CLIPSelf': Run('configs/shapes/clipself_proposals.py'),
    'SC-CLIPSelf': Run('configs/shapes/sc_clipself.py'),
    'R-SC-CLIPSelf': Run('configs/shapes/r_sc_clipself.py', refiner=REFINER),
    'Region-Text': Run('configs/shapes/region_text.py'),
    'SC-Region-Text': Run('configs/shapes/sc_region_text.py'),
    'R-SC-Region-Text': Run('configs/shapes/r_sc_region_text.py', refiner=REFINER),
    'R-SC-V': Run('configs/shapes/r_sc_v.py', refiner=REFINER),
    'DeCLIP (qq)': Run('configs/shapes/declip_qq.py', evaluation=read_as_trained(type='qq')),
    'DeCLIP (csa)': Run('configs/shapes/declip_csa.py', evaluation=read_as_trained(type='csa')),
    'DenseRC': Run('configs/shapes/denserc.py', evaluation=read_as_trained(type='hsg')),
    'Refiner': REFINER,
}
CREATURES_REFINER = Run('configs/creatures/refiner_creatures.py')
CREATURES_METHODS = {
    'CLIPSelf (grid)': Run('configs/creatures/clipself_grid_creatures.py'),
    'CLIPSelf': Run('configs/creatures/clipself_proposals_creatures.py'),
    'SC-CLIPSelf': Run('configs/creatures/sc_clipself_creatures.py'),
    'R-SC-CLIPSelf': Run('configs/creatures/r_sc_clipself_creatures.py', refiner=CREATURES_REFINER),
}
COLUMNS = {'boxes_top1': 'boxes', 'thing_masks_top1': 'thing masks', 'stuff_masks_top1': 'stuff masks',
           'coupling_ratio': 'CR, eq. 15', 'coupling_ratio_of_means': 'CR, of means'}
BOUNDS = {'thing_crops_top1': 'boxes', 'stuff_crops_top1': 'stuff masks'}
CLIP = 'projects/shapes_clip/shapes_clip.pt'
EVALUATION = 'configs/shapes/region_classification.py'
CREATURES_CLIP = 'projects/creatures_clip/creatures_clip.pt'
CREATURES_EVALUATION = 'configs/creatures/region_classification_creatures.py'
REGION_TEXT = Path('data/shapes/annotations/region_text_train.json')


def prepare(world: str = 'shapes', region_text: bool = False) -> None:
    """Generate a world, and the nouns of the proposals of Shapes where a method needs them."""
    run([sys.executable, 'tools/data/make_shapes.py', '--world', world])
    if region_text and not REGION_TEXT.exists():
        run([sys.executable, 'tools/data/generate_region_text.py', METHODS['CLIPSelf'].config, str(REGION_TEXT),
             '--nouns', 'data/shapes/annotations/panoptic_train.json', '--prompts', 'single', '--workers', '0'])


def distil_all(runs: list[tuple[Run, int]], work_dir: Path, split: str, jobs: int,
               pairs: int = 100) -> list[dict[str, float]]:
    """Train and evaluate runs with their seeds, ``jobs`` at a time; Refiners first, each once.

    Args:
        runs: training and seed.
        work_dir: each run has a folder in it; what is finished is not done again.
        split: to evaluate on.
        jobs: at a time.
        pairs: of images for the coupling ratio; 0 leaves it out.
    """
    threads = max(1, os.cpu_count() // jobs)
    refiners = list(dict.fromkeys((run.refiner, seed) for run, seed in runs if run.refiner))
    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(lambda pair: train(*pair, work_dir, threads), refiners))
        done = pool.map(lambda pair: distil(*pair, work_dir, split, threads, pairs), runs)
        return list(tqdm(done, total=len(runs), desc='trainings', disable=None))


def distil(training: Run, seed: int, work_dir: Path, split: str, threads: int | None = None,
           pairs: int = 100) -> dict[str, float]:
    """Train and evaluate one run with one seed; what is finished is not done again."""
    checkpoint = train(training, seed, work_dir, threads)
    config = CREATURES_EVALUATION if 'creatures' in Path(training.config).parts else EVALUATION
    evaluation = training if is_refiner(training) else Run(
        config, ('model.data_preprocessor.crop_size=None', *training.evaluation))
    return evaluate(evaluation, checkpoint, folder(training, seed, work_dir) / split, split, threads, pairs)


def folder(training: Run, seed: int, work_dir: Path) -> Path:
    """Where a run is kept."""
    return work_dir / f'{training.name}_{seed}'


def is_refiner(training: Run) -> bool:
    """Whether a run is stage 1 of R-SC."""
    return training.config in (REFINER.config, CREATURES_REFINER.config)


def train(training: Run, seed: int, work_dir: Path, threads: int | None = None) -> str:
    """Train, or go on with an interrupted run, and return the last checkpoint's path."""
    place = folder(training, seed, work_dir)
    options = [f'randomness.seed={seed}', 'val_cfg=None', 'val_dataloader=None', 'val_evaluator=None',
               *training.options]
    if training.refiner:
        path = folder(training.refiner, seed, work_dir) / 'refiner.pth'
        options.append(f'model.refiner.init_cfg.checkpoint={path}')
    done = place / 'done'
    if not done.exists():
        run([sys.executable, 'tools/train.py', training.config, '--work-dir', str(place), '--resume', '--cfg-options',
             *options], threads)
        last = place / 'refiner.pth' if is_refiner(training) else (place / 'last_checkpoint').read_text()
        done.write_text(str(last))
    return done.read_text().strip()


def evaluate(evaluation: Run, checkpoint: str, place: Path, split: str = 'val', threads: int | None = None,
             pairs: int = 100) -> dict[str, float]:
    """Region classification and coupling ratio of a tower, or of a Refiner's own output, on a split."""
    source = {'ann_file': f'annotations/panoptic_{split}.json', 'img_prefix': split, 'seg_prefix': f'panoptic_{split}'}
    options = ['--cfg-options', *evaluation.options,
               *(f'test_dataloader.dataset.{key}={value}' for key, value in source.items())]
    what = [evaluation.config, checkpoint]
    metrics, coupling = place / 'metrics.json', place / 'coupling.json'
    if not metrics.exists():
        run([sys.executable, 'tools/test.py', *what, '--work-dir', str(place), *options], threads)
    if pairs and not coupling.exists():
        run([sys.executable, 'tools/analysis/coupling_ratio.py', *what, '--pairs', str(pairs), '--out', str(coupling),
             *options], threads)
    return {**json.loads(metrics.read_text()), **(json.loads(coupling.read_text()) if pairs else {})}


def run(command: list[str], threads: int | None = None) -> None:
    """Run a command with its output on the console; stop with its exit status if it fails."""
    start = time.time()
    limit = [] if threads is None else ['env', f'OMP_NUM_THREADS={threads}']
    status = subprocess.run([*limit, *command]).returncode
    if status:
        raise SystemExit(f'stopped: {" ".join(command)} ended with status {status}; the same command goes on from here')
    print(f'[{time.time() - start:.0f} s] {" ".join(command[1:4])}', flush=True)


def format_table(original: dict[str, float], table: dict[str, list[dict[str, float]]]) -> str:
    """Top-1 mean accuracies and coupling ratios as a Markdown table.

    Args:
        original: figures of the original tower.
        table: for each method the figures of its seeds.
    """
    columns, rows = {name: title for name, title in COLUMNS.items() if name in original}, []
    for method, results in {'original': [original], **table}.items():
        rows.append([method, *(spread([result[name] for result in results], digits(name)) for name in columns)])
    bounds = {BOUNDS[name]: f'{original[name]:.1f}' for name in BOUNDS}
    rows.append(["original's image crops (upper bound)", *(bounds.get(name, '') for name in columns.values())])
    return markdown_table(['', *columns.values()], rows)


def digits(name: str) -> int:
    """Decimals of a column: percents have one, ratios two."""
    return 2 if name.startswith('coupling') else 1


def spread(values: list[float], decimals: int) -> str:
    """Mean, and standard deviation where there are several values."""
    mean = f'{statistics.mean(values):.{decimals}f}'
    return f'{mean} ± {statistics.stdev(values):.{decimals}f}' if len(values) > 1 else mean
