"""Write a fine-tuned tower for use elsewhere; rsc_mm.load(OUT) reads any of them with nothing else given.

  python tools/converters/publish_backbone.py CONFIG CHECKPOINT OUT.pth            init checkpoint for mmdet and mmseg
  python tools/converters/publish_backbone.py CONFIG CHECKPOINT OUT.pt --clip EVA02_CLIP_B_psz16_s8B.pt
                                                                        whole CLIP in its original key names
  python tools/converters/publish_backbone.py CONFIG CHECKPOINT OUT.safetensors    this package's keys
  python tools/converters/publish_backbone.py CONFIG CHECKPOINT OUT --clip CLIP.pt --licence apache-2.0
                                                                        a folder for a model hub, with a model card

The ending of OUT chooses the format. --clip adds the text tower, which names need: with it a .pt loads back into
CLIPSelf's and DeCLIP's code, and open_clip loads the folder. Architecture, readout, image size, normalisation and the
text tower's architecture travel in the file. The model card is filled from the configuration and the metrics.
"""
from pathlib import Path

import rsc_mm  # noqa: F401  registers every component
from rsc_mm.apis import load_config
from rsc_mm.apis.command_line import run_tool, tool_parser
from rsc_mm.apis.publishing import publish
from rsc_mm.apis.run_summary import summarise_run


def main() -> None:
    parser = tool_parser(__doc__)
    parser.add_argument('config', help='the configuration that trained the tower; its model.backbone is built')
    parser.add_argument('checkpoint', help='weights of any format')
    parser.add_argument('out', type=Path, help='file ending in .pth, .pt or .safetensors, or a folder')
    parser.add_argument('--clip', help='CLIP checkpoint whose text tower is added')
    parser.add_argument('--metrics', help="metrics.json of tools/test.py, for the model card; default: the last "
                        "validation in the checkpoint's work directory")
    parser.add_argument('--licence', help="of the weights, for the folder's model card, e.g. apache-2.0")
    parser.add_argument('--overwrite', action='store_true', help='replace OUT if it is there')
    args = parser.parse_args()
    config = load_config(args.config, args.cfg_options)
    card = {**summarise_run(config, args.checkpoint, args.metrics), 'licence': args.licence}
    publish(config, args.checkpoint, args.out, args.clip, args.overwrite, card)
    files = [args.out] if args.out.is_file() else sorted(args.out.iterdir())
    for file in files:
        print(f'wrote {file} ({file.stat().st_size / 2**20:.1f} MiB)')


if __name__ == '__main__':
    run_tool(main)
