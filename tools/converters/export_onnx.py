"""Write a tower for programs without this package: ONNX, or a program of torch.export.

  python tools/converters/export_onnx.py CHECKPOINT --what dense --out dense.onnx
  python tools/converters/export_onnx.py CHECKPOINT --what regions --out regions.onnx
  python tools/converters/export_onnx.py CHECKPOINT --what image --out image.pt2

CHECKPOINT is anything that rsc_mm.load takes: a published file or folder, a work directory, a configuration. The ending
of OUT chooses the format. Number, height and width of the images stay open, and the vocabulary is an input. An ONNX
file is compared with the tower by onnxruntime before it is kept. What goes in and comes out is printed, and stands in
the file: docs/export.md.
"""
import argparse
from pathlib import Path

import rsc_mm
from rsc_mm.apis.command_line import add_trust, run_tool
from rsc_mm.apis.export import GRAPHS, export, report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checkpoint', help='file, folder, configuration or work directory')
    parser.add_argument('--what', choices=GRAPHS, required=True, help='what the file computes')
    parser.add_argument('--out', type=Path, required=True, help='file ending in .onnx or .pt2')
    parser.add_argument('--overwrite', action='store_true', help='replace OUT if it is there')
    add_trust(parser)
    args = parser.parse_args()
    graph = GRAPHS[args.what](rsc_mm.load(args.checkpoint, device='cpu'))
    differences = export(graph, args.out, args.overwrite)
    print(report(graph, differences))
    print(f'wrote {args.out} ({args.out.stat().st_size / 2**20:.1f} MiB)')


if __name__ == '__main__':
    run_tool(main)
