"""Region-text pairs: for every proposal the noun nearest to its image crop (RegionCLIP, sec. 3.2)."""
import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.device import get_device
from torch.utils.data import DataLoader, Subset

from rsc_mm.datasets import ImageRecord, RegionDataset, region_collate
from rsc_mm.models.text import read_class_names
from rsc_mm.models.text.nouns import NounFinder, frequent_nouns
from rsc_mm.registry import MODELS
from rsc_mm.utils.files import replacing
from rsc_mm.utils.part_file import PartFile, add_batches
from rsc_mm.utils.regions import corners, expand_boxes, file_boxes


class FirstProposals:
    """Region source: the first proposals of every image, in the file's order; nothing is random.

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
        boxes = corners(large).float()
        return {'boxes': boxes, 'crop_boxes': expand_boxes(boxes, self.crop_scale, record.shape)}


class Matcher:
    """Gives every proposal its noun by the teacher.

    Args:
        config: with model.backbone and model.data_preprocessor.
        embeddings: unit embeddings of the nouns (T, D).
        own_nouns: of each image id the nouns that may be given, or None: all.

    Raises:
        ValueError: the configuration names no weights of the teacher.
    """

    def __init__(self, config: Config, embeddings: torch.Tensor, own_nouns: dict | None) -> None:
        if not config.model.backbone.get('init_cfg'):
            raise ValueError(f"{config.filename}: model.backbone: found no 'init_cfg', expected the teacher's "
                             'checkpoint there')
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
        xywh = file_boxes(boxes)
        return {'id': img_id, 'shape': list(shape), 'boxes': xywh.double().round(decimals=2).tolist(),
                'labels': labels, 'scores': scores.double().round(decimals=4).tolist()}


def choose_nouns(nouns: str | None, captions: str | None, min_count: int = 10,
                 own_captions: bool = False) -> tuple[list[str], dict | None]:
    """The nouns, and with ``own_captions`` the positions of those that each image's captions name.

    Args:
        nouns: vocabulary, .txt or .json; None: the frequent nouns of the captions.
        captions: COCO captions json, or None.
        min_count: fewest captions for a noun of its own.
        own_captions: whether nouns of the image's own captions compete alone.

    Raises:
        ValueError: the captions name no noun often enough.
    """
    rows = read_captions(captions) if captions else []
    names = read_class_names(nouns) if nouns else frequent_nouns([text for _, text in rows], min_count)
    if not names:
        raise ValueError(f'--captions {captions}: found no noun in at least {min_count} captions; lower --min-count or '
                         'give --nouns')
    if not own_captions:
        return names, None
    find = NounFinder(names)
    own: dict[int | str, set[int]] = {}
    for img_id, text in rows:
        own.setdefault(img_id, set()).update(find(text))
    return names, own


def read_captions(path: str) -> list[tuple[int | str, str]]:
    """(image id, caption) of a COCO captions json.

    Args:
        path: the file.
    """
    try:
        rows = [(row['image_id'], row['caption']) for row in json.loads(Path(path).read_text())['annotations']]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f'--captions {path}: found {type(error).__name__} {error}, expected COCO json whose '
                         'annotations have image_id and caption') from error
    for i, (_, caption) in enumerate(rows):
        if not isinstance(caption, str):
            raise ValueError(f'--captions {path}: annotations[{i}].caption: found {caption!r}, expected a text')
    return rows


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
    raise ValueError(f'{config.filename}: found no class_embeddings.text_encoder in val_evaluator or model, expected '
                     "dict(arch='EVA02-B-16', checkpoint=PATH), the text tower of model.backbone")


def proposals_dataset(config: Config, source: FirstProposals) -> RegionDataset:
    """The configuration's training images with their first proposals.

    Args:
        config: the configuration.
        source: takes the proposals.

    Raises:
        ValueError: the configuration trains on something else.
    """
    fields = dict(config.train_dataloader.dataset)
    if fields.pop('type', '').rpartition('.')[2] != 'RegionDataset' or not isinstance(fields.get('ann_file'), str):
        raise ValueError(f'{config.filename}: train_dataloader.dataset: found {dict(config.train_dataloader.dataset)}, '
                         'expected a RegionDataset with one ann_file that holds proposals (bbox)')
    return RegionDataset(**{**fields, 'regions': source})


def run_key(matcher: Matcher, dataset: RegionDataset, source: FirstProposals) -> str:
    """Hash of all that the entries depend on.

    Args:
        matcher: teacher and noun embeddings.
        dataset: images and proposals.
        source: what takes the proposals.
    """
    options = [source.max_regions, source.min_size, source.crop_scale, sorted(map(str, dataset.table.img_ids)),
               sorted((str(key), sorted(value)) for key, value in (matcher.own_nouns or {}).items())]
    digest = hashlib.sha256(json.dumps(options).encode())
    digest.update(np.ascontiguousarray(dataset.table.boxes))
    for value in (matcher.embeddings, *matcher.teacher.state_dict().values()):
        digest.update(value.float().cpu().contiguous().numpy())
    return digest.hexdigest()


def match_all(matcher: Matcher, dataset: RegionDataset, part: PartFile, batch_size: int, workers: int) -> None:
    """Matches the images that the part file does not hold yet, with progress and the time that is left.

    Args:
        matcher: teacher and noun embeddings.
        dataset: images and proposals.
        part: where entries go.
        batch_size: images at a time.
        workers: processes that decode images.
    """
    todo = part.unfinished(dataset.table.img_ids)
    loader = DataLoader(Subset(dataset, todo), batch_size, num_workers=workers, collate_fn=region_collate)
    add_batches(part, loader, len(todo), lambda batch: list(matcher(batch)))


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
    with replacing(out) as beside:
        beside.write_text(json.dumps({'images': images, 'annotations': annotations, 'categories': categories}))
    common = Counter(nouns[row[2]] for row in rows).most_common(10)
    print(f'wrote {out}: {len(images)} images, {len(annotations)} regions, {len({row[2] for row in rows})} of '
          f'{len(nouns)} nouns; most often ' + ', '.join(f'{noun} {count}' for noun, count in common))
