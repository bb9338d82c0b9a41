"""Class-agnostic proposals of an RPN or any detector of mmdet. Needs mmdet."""
import hashlib
import os
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData
from torch import nn
from torch.utils.data import DataLoader, Dataset, Subset

from rsc_mm.datasets.open_vocabulary import write_annotations
from rsc_mm.datasets.region_table import RegionTable
from rsc_mm.utils.part_file import PartFile, add_batches
from rsc_mm.utils.regions import file_boxes

from .config import load_config
from .detection import build_detector


class ImageFiles(Dataset):
    """Images through a test pipeline.

    Args:
        table: images of the annotation file.
        pipeline: transforms of mmdet.
    """

    def __init__(self, table: RegionTable, pipeline: Compose) -> None:
        self.table = table
        self.pipeline = pipeline

    def __len__(self) -> int:
        return len(self.table.img_ids)

    def __getitem__(self, i: int) -> dict[str, Any]:
        return self.pipeline({'img_path': self.table.img_paths[i], 'img_id': self.table.img_ids[i]})


def detector_config(path: str, options: dict | None = None) -> Config:
    """A detector's configuration with overrides, without weights of its own.

    Args:
        path: of mmdet.
        options: overrides by dotted key.

    Raises:
        ValueError: it is no detector's, or has no test pipeline.
    """
    config = load_config(path, options)
    pipeline = ((config.get('test_dataloader') or {}).get('dataset') or {}).get('pipeline')
    if not pipeline or 'backbone' not in config.model:
        raise ValueError(f"{path}: found the model {config.model.type!r} and no pipeline in 'test_dataloader.dataset', "
                         'expected a configuration of mmdet, an RPN or a detector, such as '
                         'configs/proposals/rpn_r50_ovcoco_base.py')
    config.model.backbone.init_cfg = None
    return config


def build_pipeline(config: Config) -> Compose:
    """The test pipeline without annotations.

    Args:
        config: of mmdet.
    """
    steps = [step for step in config.test_dataloader.dataset.pipeline if step['type'] != 'LoadAnnotations']
    return Compose(steps)


def best_boxes(prediction: InstanceData, top_k: int, min_score: float) -> tuple[list[list[float]], list[float]]:
    """The best proposals of an image, best first.

    Args:
        prediction: ``bboxes`` (K, 4) as (x1, y1, x2, y2) in original pixels, ``scores`` (K,).
        top_k: most boxes.
        min_score: least score.

    Returns:
        Boxes (x, y, width, height) in hundredths of a pixel, boxes without area left out, and their scores.
    """
    scores, order = prediction.scores.double().cpu().sort(descending=True, stable=True)
    boxes = prediction.bboxes.double().cpu()[order]
    xywh = file_boxes(boxes).round(decimals=2)
    keep = ((scores >= min_score) & (xywh[:, 2:] > 0).all(1)).nonzero().flatten()[:top_k]
    return xywh[keep].tolist(), scores[keep].round(decimals=4).tolist()


def propose_all(model: nn.Module, images: ImageFiles, part: PartFile, limits: tuple[int, float], batch_size: int,
                workers: int) -> None:
    """Runs the detector on the images that the part file does not hold yet; prints progress and the time left.

    Args:
        model: the detector.
        images: all images.
        part: where entries go.
        limits: most boxes of an image and least score.
        batch_size: images at a time.
        workers: processes that decode images.
    """
    todo = part.unfinished(images.table.img_ids)
    loader = DataLoader(Subset(images, todo), batch_size, num_workers=workers, collate_fn=pseudo_collate)
    add_batches(part, loader, len(todo), lambda batch: propose(model, batch, *limits))


@torch.no_grad()
def propose(model: nn.Module, batch: dict, top_k: int, min_score: float) -> list[dict]:
    """One entry for each image of a batch: id, shape, boxes and scores.

    Args:
        model: the detector.
        batch: from the pipeline.
        top_k: most boxes of an image.
        min_score: least score.
    """
    entries = []
    for sample in model.test_step(batch):
        boxes, scores = best_boxes(sample.pred_instances, top_k, min_score)
        entries.append({'id': sample.img_id, 'shape': list(sample.ori_shape), 'boxes': boxes, 'scores': scores})
    return entries


def write_proposals(out: Path, entries: list[dict], table: RegionTable, root: str) -> None:
    """Joins the entries to one COCO json, in the order of the images.

    Args:
        out: file to write.
        entries: one for each image.
        table: knows the image files.
        root: folder to which the file names are relative.
    """
    entry_of = {entry['id']: entry for entry in entries}
    images = [{'id': img_id, 'file_name': os.path.relpath(path, root), 'height': entry_of[img_id]['shape'][0],
               'width': entry_of[img_id]['shape'][1]} for img_id, path in zip(table.img_ids, table.img_paths)]
    rows = [(image['id'], *row) for image in images for row in zip(entry_of[image['id']]['boxes'],
                                                                   entry_of[image['id']]['scores'])]
    annotations = [{'id': i, 'image_id': img_id, 'category_id': 1, 'bbox': box, 'area': box[2] * box[3], 'iscrowd': 0,
                    'score': score} for i, (img_id, box, score) in enumerate(rows, 1)]
    write_annotations(out, {'images': images, 'annotations': annotations,
                            'categories': [{'id': 1, 'name': 'object'}]})
    empty = sum(not entry['boxes'] for entry in entries)
    print(f'wrote {out}: {len(images)} images, {len(annotations)} proposals, {empty} images without any')


def run_key(config: Config, checkpoint: str, table: RegionTable, limits: tuple[int, float]) -> str:
    """What the proposals depend on, so that a run is not continued with other settings.

    Args:
        config: with its overrides.
        checkpoint: the weights.
        table: all images.
        limits: most boxes of an image and least score.
    """
    digest = hashlib.sha256(Path(checkpoint).read_bytes())
    parts = [config.model.to_dict(), config.test_dataloader.dataset.pipeline, table.img_ids, *limits]
    digest.update(repr(parts).encode())
    return digest.hexdigest()


def generate_proposals(config: Config, checkpoint: str, table: RegionTable, part: PartFile, limits: tuple[int, float],
                       batch_size: int = 4, workers: int = 4) -> None:
    """Fills the part file with the proposals of every image.

    Args:
        config: see `detector_config`.
        checkpoint: its weights.
        table: all images.
        part: where entries go.
        limits: most boxes of an image and least score.
        batch_size: images at a time.
        workers: processes that decode images.
    """
    with DefaultScope.overwrite_default_scope(config.get('default_scope', 'mmdet')):
        images = ImageFiles(table, build_pipeline(config))
        propose_all(build_detector(config, checkpoint), images, part, limits, batch_size, workers)
