"""Write the text embeddings of any list of class names.

  python tools/data/dump_text_embeddings.py coco_panoptic OUT.npy --checkpoint EVA02_CLIP_B_psz16_s8B.pt
  python tools/data/dump_text_embeddings.py annotations/lvis_v1_val.json OUT.pt --checkpoint ... --arch EVA02-L-14-336
  python tools/data/dump_text_embeddings.py "zebra crossing,traffic cone" OUT.safetensors --checkpoint ... --background
  python tools/data/dump_text_embeddings.py coco_panoptic OUT.safetensors --arch ViT-B-16-SigLIP2 \\
      --checkpoint open_clip::ViT-B-16-SigLIP2/webli

The ending of OUT chooses the format: .pt is a dict of name -> embedding as F-ViT reads it, .npy an array in class order
as CLIPSelf reads it, .safetensors both the array and the names. Configs take any of them as `class_embeddings`.
Each embedding is the normalised mean over the prompt set's templates, in float32. SigLIP's tokenizers need transformers and
a model hub: machines without them read the file.
"""
import argparse
import json
import os
from pathlib import Path

from mmengine.device import get_device

from rsc_mm.apis.command_line import run_tool
from rsc_mm.models.text import (
    PROMPTS,
    CLIPTextEncoder,
    class_embeddings,
    read_aliases,
    read_class_names,
    vocabularies,
    write_embeddings,
)
from rsc_mm.models.text.embedding_files import SUFFIXES


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('names', help=f'a vocabulary of this package {vocabularies()}, a .txt file with a name on each '
                        'line, a .json file (a list, or COCO-style categories), or names with commas between')
    parser.add_argument('out', type=Path, help='file ending in .pt, .npy or .safetensors')
    parser.add_argument('--checkpoint', required=True,
                        help="CLIP file that holds the text tower, or 'open_clip::MODEL/TAG', which downloads")
    parser.add_argument('--arch', default='EVA02-B-16', help='config name of open_clip, or json of the fields, for '
                        'example \'{"embed_dim": 128, "width": 64, "heads": 4, "layers": 4, "context_length": 32}\'; '
                        'default: EVA02-B-16')
    parser.add_argument('--prompts', default='vild', choices=list(PROMPTS),
                        help='63 ViLD templates (default), 80 ImageNet templates, or "a photo of a ..." alone')
    parser.add_argument('--synonyms', metavar='SEPARATOR', help='average over the parts of each name between these '
                        'separators, for lists such as ADE-847; default: a name is one text')
    parser.add_argument('--background', action='store_true', help='append the name "background", as F-ViT expects it')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if args.out.suffix not in SUFFIXES:
        raise SystemExit(f'OUT: found the ending {args.out.suffix!r}, expected one of {SUFFIXES}')
    names = given_names(args.names) + ['background'] * args.background
    arch = read_arch(args.arch)
    encoder = CLIPTextEncoder(arch, args.checkpoint).to(get_device())
    aliases = None if is_list(args.names) else read_aliases(args.names)
    embeddings = class_embeddings(names, encoder, args.prompts, synonyms=args.synonyms, aliases=aliases)
    write_embeddings(args.out, names, embeddings)
    print(f'wrote {args.out}: {len(names)} names, size {embeddings.shape[1]}')


def read_arch(text: str) -> str | dict:
    """A config name of open_clip, or the fields of json.

    Args:
        text: what the command line says.
    """
    try:
        return json.loads(text) if text.startswith('{') else text
    except ValueError as error:
        raise SystemExit(f'--arch: found {text!r}, expected a config name of open_clip or json of the fields ({error})'
                         ) from None


def given_names(names: str) -> list[str]:
    """The names of a vocabulary, a file, or a list with commas.

    Args:
        names: what the command line says.
    """
    return read_class_names([name.strip() for name in names.split(',')] if is_list(names) else names)


def is_list(names: str) -> bool:
    """Whether the names themselves are given, with commas between.

    Args:
        names: what the command line says.
    """
    return ',' in names and not os.path.isfile(names)  # Path.is_file fails on a text that is too long for a name


if __name__ == '__main__':
    run_tool(main)
