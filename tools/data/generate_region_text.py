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
import hashlib
import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config, DictAction
from mmengine.device import get_device
from torch.utils.data import DataLoader, Subset

import rsc_mm  # noqa: F401  registers every component
from rsc_mm.datasets import ImageRecord, RegionDataset, region_collate
from rsc_mm.models.text import PROMPTS, load_class_embeddings, read_class_names
from rsc_mm.models.text.nouns import NounFinder, frequent_nouns
from rsc_mm.registry import MODELS
from rsc_mm.utils.regions import expand_boxes


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='configuration with backbone, text encoder and a dataset with proposals')
    parser.add_argument('out', type=Path, help='json file to write')
    parser.add_argument('--nouns', help='vocabulary, .txt or .json with the nouns; default: from --captions')
    parser.add_argument('--captions', help='COCO captions json')
    parser.add_argument('--min-count', type=int, default=10, help='fewest captions for a noun of its own; default 10')
    parser.add_argument('--own-captions', action='store_true', help="nouns of the image's own captions compete alone")
    parser.add_argument('--prompts', default='vild', choices=list(PROMPTS), help='prompt set of the nouns')
    parser.add_argument('--max-regions', type=int, default=20, help='first proposals taken of an image; default 20')
    parser.add_argument('--min-size', type=float, default=8, help='square root of the least area in pixels; default 8')
    parser.add_argument('--crop-scale', type=float, default=1.5, help='side of the crop by the proposal; default 1.5')
    parser.add_argument('--batch-size', type=int, default=8, help='images at a time; default 8')
    parser.add_argument('--workers', type=int, default=4, help='processes that decode images; default 4')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE',
                        help='override fields of the configuration, e.g. model.backbone.init_cfg.checkpoint=PATH')
    args = parser.parse_args()
    if not (args.nouns or args.captions) or (args.own_captions and not args.captions):
        parser.error('give --nouns or --captions; --own-captions needs --captions')
    return args


class FirstProposals:
    """Region source: the first proposals of every image, in the file's order, without chance.

    Args:
        max_regions: most proposals of an image.
        min_size: square root of the smallest area, in pixels; smaller ones are not taken.
        crop_scale: side of the crop relative to the proposal, clipped to the image.
    """

    needs = ('bbox', )
    annotated_only = True

    def __init__(self, max_regions: int, min_size: float, crop_scale: float) -> None:
        self.max_regions = max_regions
        self.min_size = min_size
        self.crop_scale = crop_scale

    def __call__(self, record: ImageRecord, rng: np.random.Generator) -> dict[str, torch.Tensor]:
        """``boxes`` and ``crop_boxes`` (K, 4) of one image."""
        large = record.boxes[record.boxes[:, 2:].prod(axis=1) >= self.min_size ** 2][:self.max_regions]
        corners = np.concatenate([large[:, :2], large[:, :2] + large[:, 2:]], axis=1)
        boxes = torch.from_numpy(corners).float()
        return {'boxes': boxes, 'crop_boxes': expand_boxes(boxes, self.crop_scale, record.shape)}


class Matcher:
    """Gives every proposal its noun by the teacher.

    Args:
        config: with model.backbone and model.data_preprocessor.
        embeddings: unit embeddings of the nouns (T, D).
        own_nouns: of each image id the nouns that may be given, or None: all.
    """

    def __init__(self, config: Config, embeddings: torch.Tensor, own_nouns: dict | None) -> None:
        self.device = get_device()
        self.teacher = MODELS.build(config.model.backbone)
        self.teacher.init_weights()
        self.teacher.to(self.device).requires_grad_(False).eval()
        # Crops alone are wanted: the image itself is made as small as the preprocessor can.
        small = dict(config.model.data_preprocessor, image_size=self.teacher.patch_size, multiscale=None)
        self.preprocessor = MODELS.build(small).to(self.device)
        self.embeddings = embeddings.to(self.device)
        self.own_nouns = own_nouns

    @torch.no_grad()
    def __call__(self, batch: dict[str, list]) -> Iterator[dict]:
        """One entry for each image: id, shape, boxes (x, y, width, height), labels and scores.

        Args:
            batch: images and `RegionSample`s.
        """
        crops = self.preprocessor(batch)['crops']
        features = [self.teacher.encode_image(part, normalize=True) for part in crops.split(128) if len(part)]
        cosines = torch.cat([x @ self.embeddings.t() for x in features] or [crops.new_zeros(0, len(self.embeddings))])
        samples = batch['data_samples']
        for sample, rows in zip(samples, cosines.split([len(sample.boxes) for sample in samples])):
            yield self._entry(sample.img_id, sample.ori_shape, sample.boxes, rows)

    def _entry(self, img_id: int | str, shape: tuple[int, int], boxes: torch.Tensor, cosines: torch.Tensor) -> dict:
        allowed = None if self.own_nouns is None else sorted(self.own_nouns.get(img_id, ()))
        if allowed is not None:
            boxes = boxes if allowed else boxes[:0]
            cosines = cosines[:len(boxes), allowed] if allowed else cosines[:0]
        scores, best = cosines.max(dim=1)
        labels = [allowed[i] for i in best.tolist()] if allowed is not None else best.tolist()
        xywh = torch.cat([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], dim=1)
        return {'id': img_id, 'shape': list(shape), 'boxes': xywh.double().round(decimals=2).tolist(),
                'labels': labels, 'scores': scores.double().round(decimals=4).tolist()}


class PartFile:
    """Finished entries of an unfinished run, a line of json for each; the first line says which run it was.

    Args:
        path: the file.
        key: what the entries depend on.

    Raises:
        SystemExit: the file was begun with other settings.
    """

    def __init__(self, path: Path, key: str) -> None:
        self.path = path
        lines = path.read_bytes().splitlines(keepends=True) if path.is_file() else []
        if lines and not lines[-1].endswith(b'\n'):
            lines.pop()  # the run was killed while it wrote this line
        if lines and json.loads(lines[0]) != {'key': key}:
            raise SystemExit(f'{path}: found an unfinished run with other nouns, weights, proposals or options; delete '
                             'it to begin anew, or repeat the command that began it')
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b''.join(lines) or json.dumps({'key': key}).encode() + b'\n')

    def entries(self) -> list[dict]:
        """All entries so far."""
        return [json.loads(line) for line in self.path.read_text().splitlines()[1:]]

    def add(self, entries: list[dict]) -> None:
        """Appends entries.

        Args:
            entries: what `Matcher` gives.
        """
        with self.path.open('a') as file:
            file.write(''.join(json.dumps(entry) + '\n' for entry in entries))


def choose_nouns(args: argparse.Namespace) -> tuple[list[str], dict | None]:
    """The nouns, and with --own-captions the positions of those that each image's captions name.

    Args:
        args: the command line.
    """
    captions = read_captions(args.captions) if args.captions else []
    nouns = read_class_names(args.nouns) if args.nouns else frequent_nouns([text for _, text in captions],
                                                                          args.min_count)
    if not nouns:
        raise SystemExit(f'--captions {args.captions}: found no noun in at least {args.min_count} captions; lower '
                         '--min-count or give --nouns')
    if not args.own_captions:
        return nouns, None
    find, own_nouns = NounFinder(nouns), {}
    for img_id, text in captions:
        own_nouns.setdefault(img_id, set()).update(find(text))
    return nouns, own_nouns


def read_captions(path: str) -> list[tuple[int | str, str]]:
    """(image id, caption) of a COCO captions json.

    Args:
        path: the file.
    """
    try:
        return [(row['image_id'], row['caption']) for row in json.loads(Path(path).read_text())['annotations']]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SystemExit(f'--captions {path}: found {type(error).__name__} {error}, expected COCO json whose '
                         'annotations have image_id and caption') from error


def find_text_encoder(config: Config) -> dict:
    """The text tower that the configuration evaluates or trains with.

    Args:
        config: the configuration.
    """
    evaluators = config.get('val_evaluator') or []
    for owner in [*(evaluators if isinstance(evaluators, list) else [evaluators]), config.model]:
        spec = owner.get('class_embeddings')
        if isinstance(spec, dict) and 'text_encoder' in spec:
            return spec['text_encoder']
    raise SystemExit(f'{config.filename}: found no class_embeddings.text_encoder in val_evaluator or model, expected '
                     "dict(arch='EVA02-B-16', checkpoint=PATH), the text tower of model.backbone")


def build_dataset(config: Config, args: argparse.Namespace) -> RegionDataset:
    """The configuration's training images with their first proposals.

    Args:
        config: the configuration.
        args: the command line.
    """
    fields = dict(config.train_dataloader.dataset)
    if fields.pop('type', '').rpartition('.')[2] != 'RegionDataset' or not isinstance(fields.get('ann_file'), str):
        raise SystemExit(f'{args.config}: train_dataloader.dataset: found {dict(config.train_dataloader.dataset)}, '
                         'expected a RegionDataset with one ann_file that holds proposals (bbox)')
    fields['regions'] = FirstProposals(args.max_regions, args.min_size, args.crop_scale)
    return RegionDataset(**fields)


def run_key(matcher: Matcher, dataset: RegionDataset, args: argparse.Namespace) -> str:
    """Hash of all that the entries depend on.

    Args:
        matcher: teacher and noun embeddings.
        dataset: images and proposals.
        args: the command line.
    """
    options = [args.max_regions, args.min_size, args.crop_scale, sorted(map(str, dataset.table.img_ids)),
               sorted((str(key), sorted(value)) for key, value in (matcher.own_nouns or {}).items())]
    digest = hashlib.sha256(json.dumps(options).encode())
    digest.update(np.ascontiguousarray(dataset.table.boxes))
    for value in (matcher.embeddings, *matcher.teacher.state_dict().values()):
        digest.update(value.float().cpu().contiguous().numpy())
    return digest.hexdigest()


def match_all(matcher: Matcher, dataset: RegionDataset, part: PartFile, args: argparse.Namespace) -> None:
    """Matches the images that the part file does not hold yet, with progress and the time that is left.

    Args:
        matcher: teacher and noun embeddings.
        dataset: images and proposals.
        part: where entries go.
        args: the command line.
    """
    finished = {entry['id'] for entry in part.entries()}
    todo = [i for i, img_id in enumerate(dataset.table.img_ids) if img_id not in finished]
    if finished:
        print(f'going on after {len(finished)} finished images', flush=True)
    loader = DataLoader(Subset(dataset, todo), args.batch_size, num_workers=args.workers, collate_fn=region_collate)
    start = said = time.monotonic()
    for done, batch in enumerate(loader, 1):
        part.add(list(matcher(batch)))
        now, images = time.monotonic(), min(done * args.batch_size, len(todo))
        if now - said > 10 or images == len(todo):
            said, left = now, (now - start) / images * (len(todo) - images)
            print(f'{images} of {len(todo)} images, {images / (now - start):.1f} per s, {left / 60:.1f} min left',
                  flush=True)


def write_region_text(out: Path, entries: list[dict], nouns: list[str], dataset: RegionDataset, root: Path) -> None:
    """Joins the entries to one COCO json, complete or not at all.

    Args:
        out: file to write.
        entries: one for each image.
        nouns: T nouns; category id t + 1 is noun t.
        dataset: knows the image files.
        root: folder to which the file names are relative.
    """
    paths = dict(zip(dataset.table.img_ids, dataset.table.img_paths))
    entries = [entry for entry in entries if entry['boxes']]
    images = [{'id': entry['id'], 'file_name': os.path.relpath(paths[entry['id']], root),
               'height': entry['shape'][0], 'width': entry['shape'][1]} for entry in entries]
    rows = [(entry['id'], *row) for entry in entries for row in zip(entry['boxes'], entry['labels'], entry['scores'])]
    annotations = [{'id': i, 'image_id': img_id, 'category_id': label + 1, 'bbox': box, 'area': box[2] * box[3],
                    'iscrowd': 0, 'score': score} for i, (img_id, box, label, score) in enumerate(rows, 1)]
    categories = [{'id': i, 'name': noun} for i, noun in enumerate(nouns, 1)]
    partial = out.with_name(out.name + '.writing')
    partial.write_text(json.dumps({'images': images, 'annotations': annotations, 'categories': categories}))
    partial.replace(out)
    common = Counter(nouns[row[2]] for row in rows).most_common(10)
    print(f'wrote {out}: {len(images)} images, {len(annotations)} regions, {len({row[2] for row in rows})} of '
          f'{len(nouns)} nouns; most often ' + ', '.join(f'{noun} {count}' for noun, count in common))


def main() -> None:
    args = parse_args()
    if args.out.exists():
        print(f'{args.out} is there already; delete it to make it anew')
        return
    config = Config.fromfile(args.config)
    config.merge_from_dict(args.cfg_options or {})
    if not config.model.backbone.get('init_cfg'):
        raise SystemExit(f"{args.config}: model.backbone: found no 'init_cfg', expected the teacher's checkpoint there")
    text_encoder = find_text_encoder(config)
    nouns, own_nouns = choose_nouns(args)
    print(f'{len(nouns)} nouns: {", ".join(nouns[:10])} ...', flush=True)
    embeddings = load_class_embeddings({'names': nouns, 'text_encoder': text_encoder, 'prompts': args.prompts})
    dataset = build_dataset(config, args)
    matcher = Matcher(config, embeddings, own_nouns)
    part = PartFile(args.out.with_name(args.out.name + '.part'), run_key(matcher, dataset, args))
    match_all(matcher, dataset, part, args)
    root = Path(config.train_dataloader.dataset.get('data_root', ''),
                config.train_dataloader.dataset.get('img_prefix', ''))
    write_region_text(args.out, part.entries(), nouns, dataset, root)
    part.path.unlink()


if __name__ == '__main__':
    main()
