"""Read a detector that the public F-ViT code (CLIPSelf, DeCLIP) released, written with mmdet 2.x.

  python tools/converters/convert_fvit_checkpoint.py REFERENCE.pth OUT.pth --classes ov_coco
  python tools/test.py configs/fvit/fvit_vitb16_ovcoco_clipself_proposals.py OUT.pth

OUT.pth holds the weights in this package's keys, and the class embeddings that were trained with under their names;
OUT.embeddings.safetensors the latter alone, in the order of --classes and 'background'. The key table:

  backbone.visual.*                           backbone.vit.* (EVA-CLIP's names to timm's)
  backbone.interpolate1.{0,1,3}.*             neck.up4.{0,1,3}.*
  backbone.interpolate2.0.*                   neck.up2.*
  neck.{lateral,fpn}_convs.*                  neck.fpn.{lateral,fpn}_convs.*
  roi_head.bbox_head.detect_temperature       roi_head.bbox_head.fc_cls.temperature
  roi_head.bbox_head.all_embeddings (D, T+1)  roi_head.bbox_head.fc_cls.embeddings (T+1, D)
  roi_head.bbox_head.fc_cls.*                 dropped, never used
  rpn_head.*, roi_head.*                      the same
"""
import argparse
from pathlib import Path

import torch

from rsc_mm.apis.command_line import run_tool
from rsc_mm.models.heads import pack_vocabulary
from rsc_mm.models.text import read_class_names, write_embeddings
from rsc_mm.utils.checkpoint import read_checkpoint, unwrap
from rsc_mm.utils.files import replacing

CLASSIFIER = 'roi_head.bbox_head.fc_cls'


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('reference', help="the reference's checkpoint")
    parser.add_argument('out', type=Path, help='file ending in .pth')
    parser.add_argument('--classes', default='ov_coco',
                        help='its classes in label order: a vocabulary, .txt or COCO-style json (default: %(default)s)')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    from rsc_mm.models.detectors import convert_reference_fvit  # here, so that --help needs no mmdet
    classes = read_class_names(args.classes)
    weights, embeddings = convert_reference_fvit(unwrap(read_checkpoint(args.reference)))
    if len(embeddings) != len(classes) + 1:
        raise SystemExit(f'--classes {args.classes}: found {len(classes)} classes, expected {len(embeddings) - 1}, as '
                         f'the class embeddings of {args.reference} (the last is the background)')
    names = [*classes, 'background']
    weights.update({f'{CLASSIFIER}.embeddings': embeddings, f'{CLASSIFIER}.vocabulary': pack_vocabulary(names)})
    with replacing(args.out) as part:
        torch.save({'state_dict': weights, 'meta': {'dataset_meta': {'classes': tuple(classes)}}}, part)
    beside = args.out.with_suffix('.embeddings.safetensors')
    write_embeddings(beside, names, embeddings)
    print(f'wrote {len(weights)} tensors to {args.out} and {len(embeddings)} class embeddings to {beside}')


if __name__ == '__main__':
    run_tool(main)
