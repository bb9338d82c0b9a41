"""Writes the trained Shapes CLIP as one float16 checkpoint that every tool of this package reads.

    python projects/shapes_clip/export.py --work-dir work_dirs/shapes_clip
"""
import argparse
from pathlib import Path

import torch
from model import ARCH, TEXT_ARCH

from rsc_mm.apis.description import TowerDescription
from rsc_mm.utils.checkpoint import read_checkpoint


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/shapes_clip'), help='where train.py wrote')
    parser.add_argument('--out', type=Path, default=Path(__file__).with_name('shapes_clip.pt'))
    return parser.parse_args()


def public_state_dict(model: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The weights of `ShapesCLIP` as ``vit.*``, ``text.*`` and ``logit_scale``, float16."""
    weights = {key.removeprefix('image.'): value.half().contiguous() for key, value in model.items()}
    return {key: value for key, value in weights.items() if not key.endswith('attn_mask')}


def main() -> None:
    """Converts the latest checkpoint."""
    args = parse_args()
    state = read_checkpoint(args.work_dir / 'latest.pt')
    description = TowerDescription(dict(type='EVACLIPViT', arch=ARCH, readout='value'), image_size=128,
                                   text_arch=TEXT_ARCH, prompts='single')
    meta = dict(**description.to_meta(), seed=state['seed'], samples_seen=state['samples'])
    torch.save(dict(state_dict=public_state_dict(state['model']), meta=meta), args.out)
    print(f'{args.out}: {args.out.stat().st_size / 2 ** 20:.1f} MiB')


if __name__ == '__main__':
    main()
