"""Adapt a tower to your own images, and report what it gained.

  python tools/adapt.py IMAGES --out DIR --clip projects/shapes_clip/shapes_clip.pt
  python tools/adapt.py IMAGES --out DIR --clip open_clip::EVA02-B-16/merged2b_s8b_b131k --names names.txt
  python tools/adapt.py IMAGES --out DIR --clip CLIP.pt --config configs/clipself/clipself_vitb16_coco_patches.py \\
      --method r_sc --boxes boxes.json

A folder of images is enough: regions are the cells of random grids, or the boxes of a COCO-style json. Every fifth
image is held out to measure on. Epochs and learning rate follow from the number of images and the batch. On one GPU or
a CPU; called again, it goes on where it was interrupted.

Writes DIR/report.md (figures, pictures, the lines of Python that use the result), DIR/tower.safetensors (which
rsc_mm.load reads), and DIR/training.py with DIR/training, an ordinary configuration and its work directory (with
--method r_sc DIR/refiner.py and DIR/refiner, too): python tools/train.py DIR/training.py --resume goes on with it.
"""
import argparse

from rsc_mm.apis.adaptation import Settings, adapt
from rsc_mm.apis.command_line import add_trust, positive, run_tool
from rsc_mm.engine.memory import settle_memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('images', help='folder of images, in sub-folders too')
    parser.add_argument('--out', required=True, help='folder of the result: new, empty, or of an interrupted run')
    parser.add_argument('--clip', required=True, help='file that describes itself, open_clip::MODEL/TAG, or with '
                        '--config any CLIP file, its text tower included')
    parser.add_argument('--config', help='configuration whose model.backbone is the tower')
    parser.add_argument('--method', choices=['clipself', 'r_sc'], default='clipself',
                        help='r_sc: R-SC-CLIPSelf, which trains a Refiner first (default: %(default)s)')
    parser.add_argument('--names', help='class names of the report: a .txt with a class on each line ("dog; puppy" has '
                        "two names), a .json, or a vocabulary (default: COCO's 133 classes)")
    parser.add_argument('--boxes', help='COCO-style json with boxes; images without any are not used')
    parser.add_argument('--image-size', type=positive, help="longest side in pixels (default: the tower's, else 64 "
                        'patches)')
    parser.add_argument('--batch-size', type=positive, default=4, dest='batch', help='images of a step')
    parser.add_argument('--epochs', type=positive, help='default: about 500 steps, between 6 and 50 epochs')
    parser.add_argument('--lr', type=float, help='default: by the rule that the report states')
    add_trust(parser)
    args = vars(parser.parse_args())
    args.pop('trust_checkpoint')
    settle_memory()
    report = adapt(Settings(**args))
    print(f'{report.read_text()}\nwrote {report}')


if __name__ == '__main__':
    run_tool(main)
