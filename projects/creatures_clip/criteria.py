"""The three criteria that a world must meet before SC and R-SC are tried in it, from the tower and CLIPSelf alone.

    python projects/creatures_clip/criteria.py --name 'as frozen' --work-dir work_dirs/criteria

On dev: (i) the dense map reads things (boxes) at most a third as well as image crops; (ii) CLIPSelf on proposals gains
at least half of that distance on boxes, and less on stuff than CLIPSelf on the grid; (iii) CLIPSelf on proposals lowers
the segment AUC below the original tower's. Trains both, evaluates, prints the figures and appends a row to --table.
What is finished in the work directory is not done again. --cfg-options are overrides of both trainings.
"""
import argparse
import json
from pathlib import Path

from rsc_mm.apis import load_config
from rsc_mm.apis.analysis.segments import measure_segments
from rsc_mm.apis.features import load_several
from rsc_mm.apis.shapes_experiments import CREATURES_CLIP, CREATURES_METHODS, Run, evaluate, folder, train
from rsc_mm.apis.shapes_experiments import CREATURES_EVALUATION as EVALUATION

DEV = {f'test_dataloader.dataset.{key}': value for key, value in dict(
    ann_file='annotations/panoptic_dev.json', img_prefix='dev', seg_prefix='panoptic_dev').items()}
METHODS = dict(grid=CREATURES_METHODS['CLIPSelf (grid)'], proposals=CREATURES_METHODS['CLIPSelf'])
COLUMNS = ('try', 'crops', 'original', 'CLIPSelf, grid', 'CLIPSelf, proposals', '(i) dense / crops',
           '(ii) gained; stuff against grid', '(iii) AUC: original, grid, proposals', 'passes')
HEADER = f"""| {' | '.join(COLUMNS)} |
{'|---' * len(COLUMNS)}|
"""


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--name', required=True, help='of the try, for the table')
    parser.add_argument('--clip', default=CREATURES_CLIP, help='the original tower, image and text')
    parser.add_argument('--work-dir', type=Path, required=True)
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--images', type=int, default=200, help='for the segment AUC')
    parser.add_argument('--table', type=Path, default=Path('work_dirs/tries.md'))
    parser.add_argument('--cfg-options', nargs='+', default=[], metavar='KEY=VALUE')
    return parser.parse_args()


def measure(args: argparse.Namespace) -> tuple[dict[str, dict], dict[str, float]]:
    """Region classification of the original tower and both CLIPSelf towers, and their segment AUC."""
    start = f'model.backbone.init_cfg.checkpoint={args.clip}'
    names = f'test_evaluator.class_embeddings.text_encoder.checkpoint={args.clip}'
    figures = {'original': evaluate(Run(EVALUATION, (names,)), args.clip, args.work_dir / 'original', 'dev',
                                    args.threads, 0)}
    checkpoints = [args.clip]
    for name, method in METHODS.items():
        run = Run(method.config, ('optim_wrapper.optimizer.lr=1e-3', start, *args.cfg_options))  # of the tries
        checkpoint = train(run, 0, args.work_dir, args.threads)
        place = folder(run, 0, args.work_dir) / 'dev'
        figures[name] = evaluate(Run(EVALUATION, ('model.data_preprocessor.crop_size=None', names)), checkpoint, place,
                                 'dev', args.threads, 0)
        checkpoints.append(checkpoint)
    features = load_several([EVALUATION], checkpoints, list(figures))
    return figures, measure_segments(load_config(EVALUATION, DEV), features, args.images)


def judge(figures: dict[str, dict], auc: dict[str, float]) -> dict[str, tuple[str, bool]]:
    """What each criterion's figure is, and whether it holds."""
    box, stuff = ({name: row[f'{key}_top1'] for name, row in figures.items()} for key in ('boxes', 'stuff_masks'))
    crops = figures['original']['thing_crops_top1']
    gained = (box['proposals'] - box['original']) / (crops - box['original'])
    return {
        '(i)': (f"{box['original']:.1f} / {crops:.1f} = {box['original'] / crops:.2f}", box['original'] <= crops / 3),
        '(ii)': (f"{gained:.0%}; {stuff['proposals']:.1f} against {stuff['grid']:.1f}",
                 gained >= 0.5 and stuff['proposals'] < stuff['grid']),
        '(iii)': (', '.join(f'{auc[name]:.3f}' for name in figures), auc['proposals'] < auc['original'])}


def main() -> None:
    args = parse_args()
    figures, auc = measure(args)
    verdict = judge(figures, auc)
    tops = [' / '.join(f'{row[key + "_top1"]:.1f}' for key in ('boxes', 'thing_masks', 'stuff_masks'))
            for row in figures.values()]
    original = figures['original']
    passes = 'yes' if all(holds for _, holds in verdict.values()) else \
        'no: ' + ', '.join(name for name, (_, holds) in verdict.items() if not holds)
    row = [args.name, f"{original['thing_crops_top1']:.1f} / {original['stuff_crops_top1']:.1f}", *tops,
           *(figure for figure, _ in verdict.values()), passes]
    line = f"| {' | '.join(row)} |\n"
    text = args.table.read_text() if args.table.exists() else HEADER
    args.table.write_text(text + line)
    (args.work_dir / 'criteria.json').write_text(json.dumps(dict(figures=figures, auc=auc), indent=1))
    print(line, json.dumps(auc))


if __name__ == '__main__':
    main()
