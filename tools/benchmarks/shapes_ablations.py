"""The ablations on Shapes, in one table: R-SC's tables 6, 7, 8, 12, 13 and 14, and the readouts of DenseRC.

  python tools/benchmarks/shapes_ablations.py --jobs 2

Every row trains on half of the scenes for one epoch (125 steps), in both stages where it has two, with one seed, and is
evaluated on the dev split: recipes are chosen here, 'val' is for tools/benchmarks/shapes_table.py. Finished rows are
kept in --work-dir, so the same command goes on after an interruption. Prints the table and writes ablations.md and
ablations.json.
"""
import argparse
import json
from pathlib import Path

from rsc_mm.apis.shapes_experiments import (
    CLIP,
    EVALUATION,
    Run,
    distil_all,
    evaluate,
    format_table,
    prepare,
    read_as_trained,
    set_readout,
)

SCENES = Path('data/shapes/annotations/proposals_train_half.json')
SHORT = ('train_cfg.max_epochs=1', f'train_dataloader.dataset.ann_file=annotations/{SCENES.name}')
R_SC, SC = 'configs/shapes/r_sc_clipself.py', 'configs/shapes/sc_clipself.py'


def stage_one(*options: str) -> Run:
    """A Refiner with overrides."""
    return Run('configs/shapes/refiner.py', SHORT + options)


def r_sc(*options: str, refiner: Run | None = None) -> Run:
    """R-SC-CLIPSelf with overrides, on a Refiner; on the usual one if none is given."""
    return Run(R_SC, SHORT + options, refiner or stage_one())


def scd(**fields: float | str) -> Run:
    """R-SC-CLIPSelf with other fields of its correlation loss."""
    return r_sc(*(f'model.scd_loss.{field}={value}' for field, value in fields.items()))


def variant(*fields: str) -> Run:
    """R-SC-CLIPSelf with another architecture of the Refiner, in both stages."""
    options = tuple(f'model.refiner.{field}' for field in fields)
    return r_sc(*options, refiner=stage_one(*options))


def sc(*fields: str) -> Run:
    """SC-CLIPSelf with another correlation loss."""
    return Run(SC, SHORT + tuple(f'model.scd_loss.{field}' for field in fields))


def constrained(constraint: str) -> Run:
    """CLIPSelf with one of the paper's comparison constraints."""
    return Run('configs/shapes/constrained_clipself.py', (*SHORT, f'model.constraint.type={constraint}'))


def dense_rc(**readout: str | int) -> Run:
    """DenseRC with another readout, which its tower keeps in the evaluation."""
    return Run('configs/shapes/denserc.py', (*SHORT, *set_readout(**readout)), evaluation=read_as_trained(**readout))


ABLATIONS = {
    'CLIPSelf': Run('configs/shapes/clipself_proposals.py', SHORT),
    'SC-CLIPSelf': Run(SC, SHORT),
    'R-SC-CLIPSelf': r_sc(),
    'lambda 0.02': scd(loss_weight=0.02),
    'lambda 0.2': scd(loss_weight=0.2),
    'tau_s 0.1, tau_t 0.1': scd(tau_s=0.1, tau_t=0.1),
    'tau_s 0.2, tau_t 0.2': scd(tau_s=0.2, tau_t=0.2),
    'tau_s 0.1, tau_t 0.05': scd(tau_s=0.1, tau_t=0.05),
    "lambda 0.2, tau_s 0.2, tau_t 0.2 (the paper's)": scd(loss_weight=0.2, tau_s=0.2, tau_t=0.2),
    'global (whole image)': scd(scope='image'),
    'K = 1': variant('num_blocks=1'),
    'K = 3': variant('num_blocks=3'),
    'without FC_inter': variant('inter_layers=None'),
    'without FC_CLS': variant('region_token=False'),
    'Late': variant('late=True'),
    'random': variant('init=random'),
    'exogenous': variant('init=exogenous'),
    'PACL': variant('init=pacl'),
    'cosine': r_sc(refiner=stage_one('model.refiner_loss.objective=cosine')),
    'InfoNCE, temperature 0.05': r_sc(refiner=stage_one('model.refiner_loss.temperature=0.05')),
    'InfoNCE, temperature 0.2': r_sc(refiner=stage_one('model.refiner_loss.temperature=0.2')),
    'InfoNCE, not normalised, temperature 1': r_sc(
        refiner=stage_one('model.refiner_loss.temperature=1.0', 'model.refiner_loss.normalise=False')),
    'local to global': r_sc(refiner=stage_one('model.direction=local_to_global')),
    'end to end': Run('configs/shapes/r_sc_clipself_e2e.py', SHORT),
    '+ L_F (Frobenius)': sc('distance=frobenius'),
    '+ L_Inter': sc('scope=inter_instance'),
    '+ L_Attn': constrained('AttentionCorrelation'),
    '+ L_CL': constrained('DenseContrast'),
    '+ L_MIM': constrained('MaskedModelling'),
    'DenseRC: value of the last layer': dense_rc(type='values', num_layers=1),
    'DenseRC: values of three layers': dense_rc(type='values'),
    'DenseRC: values of three layers, q-q attention': dense_rc(type='values_qq'),
    'DenseRC: HSG': dense_rc(type='hsg'),
}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--rows', nargs='+', choices=list(ABLATIONS), default=list(ABLATIONS))
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--jobs', type=int, default=1, help='runs at a time, each with its share of the cores')
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/shapes_ablations'))
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    prepare(region_text=False)
    write_half(SCENES.with_name('proposals_train.json'))
    original = evaluate(Run(EVALUATION), CLIP, args.work_dir / 'original_dev', 'dev', pairs=0)
    runs = [(ABLATIONS[row], args.seed) for row in args.rows]
    results = distil_all(runs, args.work_dir, 'dev', args.jobs, pairs=0)
    table = {row: [result] for row, result in zip(args.rows, results)}
    text = format_table(original, table)
    print(text)
    (args.work_dir / 'ablations.md').write_text(text + '\n')
    (args.work_dir / 'ablations.json').write_text(json.dumps({'original': original, **table}, indent=1))


def write_half(path: Path) -> None:
    """Write every other scene of the training proposals to `SCENES`."""
    content = json.loads(path.read_text())
    content['images'] = content['images'][::2]
    kept = {image['id'] for image in content['images']}
    content['annotations'] = [note for note in content['annotations'] if note['image_id'] in kept]
    SCENES.write_text(json.dumps(content))


if __name__ == '__main__':
    main()
