"""Name every pixel of an image: a picture with a legend and a label map.

  python tools/segment.py IMAGE --checkpoint work_dirs/clipself_vitb16.pth --vocab "sky, grass, dog; puppy, wall"
  python tools/segment.py IMAGE --config configs/segmentation/maskclip_vitb16_ade20k.py --checkpoint CLIP.pt
  python tools/segment.py IMAGE --config configs/catseg/CONFIG.py --checkpoint iter_80000.pth --vocab "sky, grass, dog"

Without --config CHECKPOINT is anything that rsc_mm.load reads: a published tower, a folder, a work directory; the whole
image passes the tower at once. With the configuration of a segmentor its windows, scale and background are used, and
without --vocab its classes. 'dog; puppy' is one class with two names. Every pixel gets one of the classes: name what
else is in the picture, too.

Writes OUT/NAME.png and OUT/NAME_labels.png, whose values are the places of the classes in the vocabulary, from 0.
"""
from pathlib import Path

import rsc_mm
from rsc_mm.apis.command_line import run_tool, tool_parser
from rsc_mm.models.text import split_vocabulary


def main() -> None:
    parser = tool_parser(__doc__)
    parser.add_argument('image', type=Path)
    parser.add_argument('--checkpoint', help='weights; default: those that the configuration names')
    parser.add_argument('--config', help='configuration of a segmentor')
    parser.add_argument('--vocab', help='classes between commas, synonyms between semicolons')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/segment'), help='folder (default: %(default)s)')
    parser.add_argument('--device', help='default: a GPU if there is one')
    args = parser.parse_args()
    classes = split_vocabulary(args.vocab) if args.vocab else None
    if args.config:
        from rsc_mm.apis.segmentation import load_segmentor, segment
        model = load_segmentor(args.config, args.checkpoint, classes, args.device, args.cfg_options)
        found = segment(model, args.image)
    elif args.checkpoint and classes:
        found = rsc_mm.load(args.checkpoint, args.device).class_map(args.image, classes)
    else:
        parser.error('found neither --config nor both --checkpoint and --vocab')
    picture = found.save(args.out / f'{args.image.stem}.png')
    labels = found.save_labels(args.out / f'{args.image.stem}_labels.png')
    print(f'{found}\nwrote {picture} and {labels}')


if __name__ == '__main__':
    run_tool(main)
