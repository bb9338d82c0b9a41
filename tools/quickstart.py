"""The main job in small: generate Creatures, evaluate its tiny CLIP, train the Refiner, distil the tower by
R-SC-CLIPSelf, evaluate again, and write a report.

Called by tools/quickstart.sh. Finished steps are kept in work_dirs/quickstart and not repeated; an interrupted training
goes on where it was.
"""
import argparse
import time
from pathlib import Path

from rsc_mm.apis.shapes_experiments import (
    CREATURES_CLIP,
    CREATURES_EVALUATION,
    CREATURES_METHODS,
    Run,
    distil,
    evaluate,
    prepare,
    train,
)
from rsc_mm.apis.shapes_report import draw_pictures, write_report

STEPS = ('generate Creatures', 'evaluate the tiny CLIP', 'stage 1: train the Refiner', 'stage 2: distil the tower',
         'evaluate the distilled tower', 'draw pictures and write the report')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/quickstart'))
    parser.add_argument('--method', choices=list(CREATURES_METHODS), default='R-SC-CLIPSelf')
    return parser.parse_args()


def main() -> None:
    args, start = parse_args(), time.time()
    method = CREATURES_METHODS[args.method]
    announce(0, start)
    prepare('creatures')
    announce(1, start)
    before = evaluate(Run(CREATURES_EVALUATION), CREATURES_CLIP, args.work_dir / Path(CREATURES_CLIP).stem)
    announce(2, start)
    if method.refiner:
        train(method.refiner, 0, args.work_dir)
    announce(3, start)
    checkpoint = train(method, 0, args.work_dir)
    announce(4, start)
    after = distil(method, 0, args.work_dir, 'val')
    announce(5, start)
    draw_pictures({'original': CREATURES_CLIP, args.method: checkpoint}, args.work_dir / 'pictures.png',
                  CREATURES_EVALUATION)
    report = write_report(args.method, before, after, time.time() - start)
    report += f'\nIts training: [recipe and curves]({Path(checkpoint).parent.name}/report.md)\n'
    report += f"\nUse the distilled tower: `rsc_mm.load('{Path(checkpoint).parent}')`\n"
    (args.work_dir / 'report.md').write_text(report)
    print(f'{report}\nwrote {args.work_dir / "report.md"}')


def announce(step: int, start: float) -> None:
    """Say which step begins; training and evaluation print their own progress and ETA."""
    print(f'\n=== step {step + 1} of {len(STEPS)}: {STEPS[step]} ({time.time() - start:.0f} s so far)', flush=True)


if __name__ == '__main__':
    main()
