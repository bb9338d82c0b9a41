"""Writes the trained VFM as one float16 checkpoint, which `VFMTeacher` reads.

    python projects/shapes_vfm/export.py --work-dir work_dirs/shapes_vfm
"""
import argparse
import hashlib
import io
from pathlib import Path

import torch

from rsc_mm.engine.safe_checkpoint_hook import last_checkpoint
from rsc_mm.utils.checkpoint import read_checkpoint
from rsc_mm.utils.files import replacing


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--work-dir', type=Path, default=Path('work_dirs/shapes_vfm'), help='where train.py wrote')
    parser.add_argument('--out', type=Path, default=Path(__file__).with_name('shapes_vfm.pt'))
    return parser.parse_args()


def public_content(state_dict: dict[str, torch.Tensor]) -> dict[str, dict]:
    """The ViT in timm's names, float16, and in ``meta`` what turns a cosine into the chance of one segment."""
    weights = {key.removeprefix('vit.'): value.half().contiguous() for key, value in state_dict.items()
               if key.startswith('vit.')}
    meta = dict(scale=state_dict['log_scale'].exp().item(), bias=state_dict['bias'].item())
    return dict(state_dict=weights, meta=meta)


def main() -> None:
    """Converts the last checkpoint."""
    args = parse_args()
    found = last_checkpoint(args.work_dir)
    if found is None:
        raise SystemExit(f'--work-dir {args.work_dir}: found no last_checkpoint, expected what train.py writes')
    buffer = io.BytesIO()  # a file's name would be written into it, and change its hash
    torch.save(public_content(read_checkpoint(found)['state_dict']), buffer)
    with replacing(args.out) as beside:
        beside.write_bytes(buffer.getvalue())
    sha256 = hashlib.sha256(buffer.getvalue()).hexdigest()
    print(f'{args.out}: {args.out.stat().st_size / 2 ** 20:.1f} MiB, sha256 {sha256}')


if __name__ == '__main__':
    main()
