"""Write a fine-tuned CLIP tower as the CLIPVisionModel folder that LLaVA and transformers load.

  python tools/converters/export_clip_vision.py configs/rsc/r_sc_v_openai_vitl14.py CHECKPOINT OUT

Of the towers here that is CLIPViT (OpenAI, MetaCLIP, DFN, LAION); for EVA-02-CLIP and for dense readouts see
projects/llava. CHECKPOINT is of any format that load_clip_checkpoint reads.
"""
from pathlib import Path

import rsc_mm  # noqa: F401  registers every component
from rsc_mm.apis import load_config
from rsc_mm.apis.clip_vision_model import write_clip_vision_model
from rsc_mm.apis.command_line import run_tool, tool_parser
from rsc_mm.apis.description import TowerDescription
from rsc_mm.registry import MODELS
from rsc_mm.utils.checkpoint import load_clip_checkpoint


def main() -> None:
    parser = tool_parser(__doc__)
    parser.add_argument('config', help='the configuration that trained the tower; its model.backbone is built')
    parser.add_argument('checkpoint', help='weights of any format')
    parser.add_argument('out', type=Path, help='folder')
    parser.add_argument('--projection', action='store_true', help='also write the projection to the embedding')
    parser.add_argument('--overwrite', action='store_true', help='replace OUT if it is there')
    args = parser.parse_args()
    description = TowerDescription.from_config(load_config(args.config, args.cfg_options))
    tower = MODELS.build({**description.backbone, '_scope_': 'rsc_mm'})
    load_clip_checkpoint(tower, args.checkpoint)
    write_clip_vision_model(args.out, tower, description, args.projection, args.overwrite)
    for file in sorted(args.out.iterdir()):
        print(f'wrote {file} ({file.stat().st_size / 2**20:.1f} MiB)')


if __name__ == '__main__':
    run_tool(main)
