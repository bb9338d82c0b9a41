"""Read a segmentor that the public CAT-Seg code (CVPR 2024, "v2") released, written with detectron2.

  python tools/converters/convert_catseg_checkpoint.py model_base.pth data/checkpoints/catseg_vitb16.pth
  python tools/test.py configs/catseg/catseg_vitb16_ade20k.py data/checkpoints/catseg_vitb16.pth

model_base.pth fits the configs of CLIP ViT-B/16, model_large.pth those of ViT-L/14. Both were trained with the readout
'value_cls', which is written into the file. The table of keys is `convert_catseg`'s in
rsc_mm/models/segmentors/catseg_checkpoint.py.
"""
import argparse
from pathlib import Path

import torch

from rsc_mm.apis.command_line import run_tool
from rsc_mm.models.text import read_class_names
from rsc_mm.utils.checkpoint import read_checkpoint, unwrap
from rsc_mm.utils.files import replacing


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('official', help='model_base.pth or model_large.pth')
    parser.add_argument('out', type=Path, help='file ending in .pth')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    from rsc_mm.models.segmentors import convert_catseg  # here, so that --help needs no mmseg
    weights = convert_catseg(unwrap(read_checkpoint(args.official)))
    meta = dict(readout='value_cls', dataset_meta=dict(classes=tuple(read_class_names('coco_stuff'))))
    with replacing(args.out) as beside:
        torch.save(dict(state_dict=weights, meta=meta), beside)
    print(f'wrote {len(weights)} tensors to {args.out}')


if __name__ == '__main__':
    run_tool(main)
