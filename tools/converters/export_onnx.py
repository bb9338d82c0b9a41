"""Write a tower or a detector for programs without this package: ONNX, or a program of torch.export.

  python tools/converters/export_onnx.py CHECKPOINT --what dense --out dense.onnx
  python tools/converters/export_onnx.py CHECKPOINT --what regions --out regions.onnx
  python tools/converters/export_onnx.py CHECKPOINT --what image --out image.pt2
  python tools/converters/export_onnx.py CHECKPOINT --what detector --config CONFIG --out detector.onnx

CHECKPOINT is anything that rsc_mm.load takes: a published file or folder, a work directory, a configuration; for a
detector it is what training saved, and CONFIG its configuration (F-ViT). The ending of OUT chooses the format. Height
and width of the images stay open, and the vocabulary is an input. An ONNX file is compared with the model by
onnxruntime before it is kept. What goes in and comes out is printed, and stands in the file: docs/export.md.
"""
from pathlib import Path

import rsc_mm
from rsc_mm.apis.command_line import run_tool, tool_parser
from rsc_mm.apis.detection import load_detector
from rsc_mm.apis.export import GRAPHS, DetectorGraph, export, open_file, report
from rsc_mm.apis.export.agreement import compare_detections
from rsc_mm.datasets.annotations import list_images


def main() -> None:
    parser = tool_parser(__doc__)
    parser.add_argument('checkpoint', help='file, folder, configuration or work directory')
    parser.add_argument('--what', choices=[*GRAPHS, 'detector'], required=True, help='what the file computes')
    parser.add_argument('--config', help='configuration of the detector')
    parser.add_argument('--out', type=Path, required=True, help='file ending in .onnx or .pt2')
    parser.add_argument('--overwrite', action='store_true', help='replace OUT if it is there')
    parser.add_argument('--images', help='folder: what the file of a detector finds there, beside the detector')
    args = parser.parse_args()
    if (args.what == 'detector') != bool(args.config) or ((args.cfg_options or args.images) and not args.config):
        parser.error('--what detector needs --config, and --config, --images and --cfg-options belong to it')
    images = list_images(args.images).img_paths if args.images else []
    if args.config:
        detector = load_detector(args.config, args.checkpoint, device='cpu', options=args.cfg_options)
        graph = DetectorGraph(detector.model).eval()
    else:
        graph = GRAPHS[args.what](rsc_mm.load(args.checkpoint, device='cpu'))
    differences = export(graph, args.out, args.overwrite)
    print(report(graph, differences))
    print(f'wrote {args.out} ({args.out.stat().st_size / 2**20:.1f} MiB)')
    if images:
        print(compare_detections(detector, graph, open_file(args.out, graph), images))


if __name__ == '__main__':
    run_tool(main)
