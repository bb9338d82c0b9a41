"""Find objects by name in an image: a picture and a json.

  python tools/detect.py IMAGE --config configs/fvit/fvit_vitb16_ovcoco.py --checkpoint epoch_3.pth \\
      --vocab "cat, traffic light, red umbrella"

Boxes, and masks of a detector that has them, are drawn on the image turned upright as its EXIF orientation says, to
which their coordinates refer; trained classes in blue, all others in orange. Without --vocab it looks for its own
classes. Names that are not saved with the detector need the text tower: the config's class_embeddings must be a dict
with one, or a file that holds the names.
"""
import argparse
import json
from pathlib import Path

from rsc_mm.apis.command_line import run_tool, tool_parser
from rsc_mm.utils.files import replacing


def parse_args() -> argparse.Namespace:
    parser = tool_parser(__doc__)
    parser.add_argument('image', type=Path)
    parser.add_argument('--config', required=True, help='configuration of the detector')
    parser.add_argument('--checkpoint', required=True, help='what training saved')
    parser.add_argument('--vocab', help='names between commas, a vocabulary of this package such as lvis, or a file of '
                        'names; default: the classes of the config')
    parser.add_argument('--score', type=float, default=0.2, help='lowest score to show (default: %(default)s)')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/detect'), help='folder (default: %(default)s)')
    parser.add_argument('--device', help='default: a GPU if there is one')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    # Here, so that --help needs neither mmdet nor seconds.
    from rsc_mm.apis.detection import load_detector
    from rsc_mm.apis.images import read_one
    image = read_one(args.image)  # before the detector: a bad image is said at once
    detector = load_detector(args.config, args.checkpoint, given_names(args.vocab), args.device, args.cfg_options)
    found = detector.detect(image, score=args.score)
    picture = found.save(args.out / f'{args.image.stem}.jpg')
    listing = args.out / f'{args.image.stem}.json'
    with replacing(listing) as beside:
        beside.write_text(json.dumps(found.to_list(), indent=1))
    for entry in found.to_list():
        print(f'{entry["score"]:.2f}  {entry["name"]}{"" if entry["base"] else " (novel)"}  {entry["box"]}')
    print(f'{len(found)} objects; wrote {picture} and {listing}')


def given_names(vocab: str | None) -> str | list[str] | None:
    """Names between commas, or a single one, as a list; a vocabulary or file as it is.

    Args:
        vocab: what the command line says.
    """
    from rsc_mm.models.text import vocabularies
    if vocab is None or vocab in vocabularies() or vocab.endswith(('.txt', '.json')):
        return vocab
    return [name.strip() for name in vocab.split(',') if name.strip()]


if __name__ == '__main__':
    run_tool(main)
