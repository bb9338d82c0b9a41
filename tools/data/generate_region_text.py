"""Write the region-text file that Region-Text learns from: a noun for every proposal, by the teacher's crop embedding.

  python tools/data/generate_region_text.py configs/clipself/clipself_vitb16_coco_proposals.py OUT.json \\
      --captions data/coco/annotations/captions_train2017.json
  python tools/data/generate_region_text.py CONFIG OUT.json --nouns nouns.txt --cfg-options data_root=...

CONFIG gives the teacher (model.backbone), its text tower (text_encoder of the class_embeddings of val_evaluator or
model), the crops (model.data_preprocessor) and images with proposals (train_dataloader.dataset). The nouns are those of
--nouns; without it, words that stand alone between a determiner and the end of a phrase in at least --min-count
captions. Every proposal, expanded by --crop-scale, gets the noun whose embedding is nearest to its crop's (RegionCLIP,
sec. 3.2); with --own-captions only nouns that a caption of its own image names compete, and an image whose captions
name none is left out.

OUT is COCO json: `images`, `annotations` with `bbox`, `category_id` and `score` (the cosine), `categories` (the nouns).
Embed the nouns with `class_embeddings=dict(names='OUT.json', ...)` or tools/data/dump_text_embeddings.py OUT.json. Finished
images are kept in OUT.json.part: run the same command again after an interruption.
"""
import argparse
from pathlib import Path

from rsc_mm.apis import load_config
from rsc_mm.apis.command_line import positive, run_tool, tool_parser
from rsc_mm.apis.region_text import (
    FirstProposals,
    Matcher,
    choose_nouns,
    find_text_encoder,
    match_all,
    proposals_dataset,
    run_key,
    write_region_text,
)
from rsc_mm.models.text import PROMPTS, load_class_embeddings
from rsc_mm.utils.part_file import PartFile


def parse_args() -> argparse.Namespace:
    parser = tool_parser(__doc__)
    parser.add_argument('config', help='configuration with backbone, text encoder and a dataset with proposals')
    parser.add_argument('out', type=Path, help='json file to write')
    parser.add_argument('--nouns', help='vocabulary, .txt or .json with the nouns; default: from --captions')
    parser.add_argument('--captions', help='COCO captions json')
    parser.add_argument('--min-count', type=positive, default=10, help='fewest captions for a noun of its own; default 10')
    parser.add_argument('--own-captions', action='store_true', help="nouns of the image's own captions compete alone")
    parser.add_argument('--prompts', default='vild', choices=list(PROMPTS), help='prompt set of the nouns')
    parser.add_argument('--max-regions', type=positive, default=20, help='first proposals taken of an image; default 20')
    parser.add_argument('--min-size', type=float, default=8, help='square root of the least area in pixels; default 8')
    parser.add_argument('--crop-scale', type=float, default=1.5, help='side of the crop by the proposal; default 1.5')
    parser.add_argument('--batch-size', type=positive, default=8, help='images at a time; default 8')
    parser.add_argument('--workers', type=int, default=4, help='processes that decode images; default 4')
    args = parser.parse_args()
    if not (args.nouns or args.captions) or (args.own_captions and not args.captions):
        parser.error('give --nouns or --captions; --own-captions needs --captions')
    return args


def main() -> None:
    args = parse_args()
    if args.out.exists():
        print(f'{args.out} is there already; delete it to make it anew')
        return
    config = load_config(args.config, args.cfg_options)
    text_encoder = find_text_encoder(config)
    nouns, own_nouns = choose_nouns(args.nouns, args.captions, args.min_count, args.own_captions)
    print(f'{len(nouns)} nouns: {", ".join(nouns[:10])} ...', flush=True)
    source = FirstProposals(args.max_regions, args.min_size, args.crop_scale)
    dataset = proposals_dataset(config, source)
    embeddings = load_class_embeddings({'names': nouns, 'text_encoder': text_encoder, 'prompts': args.prompts})
    matcher = Matcher(config, embeddings, own_nouns)
    part = PartFile(args.out.with_name(args.out.name + '.part'), run_key(matcher, dataset, source))
    match_all(matcher, dataset, part, args.batch_size, args.workers)
    fields = config.train_dataloader.dataset
    root = Path(fields.get('data_root', ''), fields.get('img_prefix', ''))
    write_region_text(args.out, part.entries(), nouns, dataset, root)
    part.path.unlink()


if __name__ == '__main__':
    run_tool(main)
