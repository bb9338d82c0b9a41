"""Find objects by name in an image: a picture and a json.

  python tools/detect.py IMAGE --config configs/fvit/fvit_vitb16_ovcoco.py --checkpoint epoch_3.pth \\
      --vocab "cat, traffic light, red umbrella"

Names the detector was trained on are drawn in one colour, all others in another. Without --vocab it looks for its own
classes. New names need the text tower: the config's class_embeddings must be a dict with one, or a file that holds
the names.
"""
import argparse
import json
from pathlib import Path

import torch
from mmdet.apis import inference_detector
from mmdet.utils import register_all_modules
from mmengine.config import Config, DictAction
from mmengine.runner import load_checkpoint
from PIL import Image, ImageDraw

from rsc_mm.apis.command_line import add_trust
from rsc_mm.models.detectors import FViT
from rsc_mm.registry import MODELS

COLOURS = {True: (40, 110, 230), False: (230, 80, 20)}  # base, novel


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('image', type=Path)
    parser.add_argument('--config', required=True, help='configuration of the detector')
    parser.add_argument('--checkpoint', required=True, help='what training saved')
    parser.add_argument('--vocab', help='names between commas; default: the classes of the config')
    parser.add_argument('--score', type=float, default=0.2, help='lowest score to show (default: %(default)s)')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/detect'), help='folder (default: %(default)s)')
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE',
                        help='override fields of the configuration')
    add_trust(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if not args.image.is_file():
        raise SystemExit(f'IMAGE {args.image}: no such file')
    model = load_detector(args)
    found = detect(model, args.image, args.score)
    args.out.mkdir(parents=True, exist_ok=True)
    picture, listing = args.out / f'{args.image.stem}.jpg', args.out / f'{args.image.stem}.json'
    draw(Image.open(args.image).convert('RGB'), found).save(picture, quality=95)
    listing.write_text(json.dumps(found, indent=1))
    for entry in found:
        print(f'{entry["score"]:.2f}  {entry["name"]}{"" if entry["base"] else " (novel)"}  {entry["box"]}')
    print(f'{len(found)} objects; wrote {picture} and {listing}')


def load_detector(args: argparse.Namespace) -> FViT:
    """The detector with its weights and the vocabulary of the command line.

    Args:
        args: parsed arguments.
    """
    config = Config.fromfile(args.config)
    config.merge_from_dict(args.cfg_options or {})
    register_all_modules()  # mmdet's scope as the default
    config.model.backbone.init_cfg = None  # the weights of the tower are in the checkpoint too
    if args.vocab:
        config.model.roi_head.bbox_head.classes = [name.strip() for name in args.vocab.split(',') if name.strip()]
    model = MODELS.build(config.model)
    load_checkpoint(model, args.checkpoint, map_location='cpu', strict=True)
    model.cfg = config
    return model.to(args.device).eval()


def detect(model: FViT, image: Path, lowest: float) -> list[dict]:
    """Objects of an image, the best first.

    Args:
        model: the detector.
        image: file.
        lowest: lowest score.

    Returns:
        For each object ``name``, ``base`` (trained on), ``score`` and ``box`` [x1, y1, x2, y2] in the image's pixels.
    """
    head, found = model.roi_head.bbox_head, inference_detector(model, str(image)).pred_instances.cpu()
    return [dict(name=head.classes[label], base=bool(head.is_base[label]), score=round(score, 4),
                 box=[round(side, 1) for side in box])
            for label, score, box in zip(found.labels.tolist(), found.scores.tolist(), found.bboxes.tolist())
            if score >= lowest]


def draw(image: Image.Image, found: list[dict]) -> Image.Image:
    """Boxes and names on the image, base and novel names in different colours.

    Args:
        image: RGB; changed in place.
        found: as `detect` returns them.
    """
    pen, width = ImageDraw.Draw(image), max(1, min(image.size) // 250)
    for entry in reversed(found):  # the best on top
        colour, text = COLOURS[entry['base']], f'{entry["name"]} {entry["score"]:.2f}'
        pen.rectangle(entry['box'], outline=colour, width=width)
        left, top, right, bottom = pen.textbbox(entry['box'][:2], text)
        pen.rectangle((left - 1, top - 1, right + 1, bottom + 1), fill=colour)
        pen.text(entry['box'][:2], text, fill='white')
    return image


if __name__ == '__main__':
    main()
