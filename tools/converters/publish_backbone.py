"""Write a fine-tuned tower for use elsewhere.

  python tools/converters/publish_backbone.py CONFIG CHECKPOINT OUT.pth            init checkpoint for mmdet and mmseg
  python tools/converters/publish_backbone.py CONFIG CHECKPOINT OUT.pt --clip EVA02_CLIP_B_psz16_s8B.pt
                                                                        whole CLIP in its original key names
  python tools/converters/publish_backbone.py CONFIG CHECKPOINT OUT.safetensors    this package's keys

The file's ending chooses the format. A .pt takes everything but the vision tower (text tower, temperature, rotary
caches) from --clip, so that it loads back into CLIPSelf's and DeCLIP's code; without --clip it holds the tower alone.
"""
import argparse
import json
from pathlib import Path

import torch
from mmengine.config import Config
from safetensors.torch import save_file

import rsc_mm  # noqa: F401  registers every component
from rsc_mm.registry import MODELS
from rsc_mm.utils.checkpoint import checkpoint_meta, export_state_dict, load_clip_checkpoint, read_checkpoint, unwrap


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='the configuration that trained the tower; its model.backbone is built')
    parser.add_argument('checkpoint', help='weights of any format')
    parser.add_argument('out', type=Path, help='file ending in .pth, .pt or .safetensors')
    parser.add_argument('--clip', help='original CLIP checkpoint that lends a .pt its text tower')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    writers = {'.pth': write_mmdet, '.pt': write_clip, '.safetensors': write_safetensors}
    if args.out.suffix not in writers:
        raise SystemExit(f'OUT: found the ending {args.out.suffix!r}, expected one of {sorted(writers)}')
    if args.clip and args.out.suffix != '.pt':
        raise SystemExit(f'--clip belongs to a .pt file, found OUT {args.out}')
    backbone = MODELS.build({**Config.fromfile(args.config).model.backbone, 'init_cfg': None})
    load_clip_checkpoint(backbone, args.checkpoint)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    writers[args.out.suffix](backbone, args)
    print(f'wrote {args.out} ({args.out.stat().st_size / 2**20:.1f} MiB)')


def write_mmdet(backbone: torch.nn.Module, args: argparse.Namespace) -> None:
    torch.save({'state_dict': export_state_dict(backbone, 'mmdet'), 'meta': checkpoint_meta(backbone)}, args.out)


def write_clip(backbone: torch.nn.Module, args: argparse.Namespace) -> None:
    weights = export_state_dict(backbone, 'clip')
    rest = unwrap(read_checkpoint(args.clip)) if args.clip else {}
    torch.save({'state_dict': {**rest, **weights}, 'meta': checkpoint_meta(backbone)}, args.out)


def write_safetensors(backbone: torch.nn.Module, args: argparse.Namespace) -> None:
    meta = checkpoint_meta(backbone)
    strings = {key: value if isinstance(value, str) else json.dumps(value) for key, value in meta.items()}
    save_file(export_state_dict(backbone, 'ours'), args.out, strings)


if __name__ == '__main__':
    main()
