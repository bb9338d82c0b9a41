"""Write the proposals file that distillation reads: class-agnostic boxes of an RPN or any detector of mmdet.

  python tools/data/generate_proposals.py configs/proposals/rpn_r50_ovcoco_base.py CHECKPOINT \\
      data/coco/proposals/rpn_train2017.json --ann-file data/coco/annotations/instances_train2017.json \\
      --img-prefix data/coco/train2017

Runs the model of CONFIG with its test pipeline on every image that --ann-file names (its annotations are not read) and
keeps the --top-k best boxes of an image with a score of at least --min-score. The default of 100 is our choice:
CLIPSelf's paper gives no number, and a training step draws 20 of them at random.

OUT is COCO json: `images` of --ann-file, and `annotations` with `id`, `image_id`, `bbox` [x, y, width, height] in
original pixels, `area`, `category_id` 1, `iscrowd` 0 and `score`, best first; one category, 'object'. Finished images
are kept in OUT.json.part: run the same command again after an interruption.
"""
import argparse
import hashlib
import os
import time
from pathlib import Path
from typing import Any

import torch
from generate_region_text import PartFile
from mmengine.config import Config, DictAction
from mmengine.dataset import Compose, pseudo_collate
from mmengine.device import get_device
from mmengine.registry import DefaultScope
from mmengine.runner import load_checkpoint
from mmengine.structures import InstanceData
from torch import nn
from torch.utils.data import DataLoader, Dataset

import rsc_mm  # noqa: F401  registers every component
from rsc_mm.datasets.annotations import RegionTable, load_coco
from rsc_mm.datasets.open_vocabulary import write_annotations
from rsc_mm.utils.dependencies import require


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='configuration of mmdet: an RPN, or a detector whose boxes are taken')
    parser.add_argument('checkpoint', help='its weights')
    parser.add_argument('out', type=Path, help='json file to write')
    parser.add_argument('--ann-file', required=True, help='COCO or LVIS json that names the images')
    parser.add_argument('--img-prefix', required=True, help='folder of the images')
    parser.add_argument('--top-k', type=int, default=100, help='most boxes of an image; default 100')
    parser.add_argument('--min-score', type=float, default=0., help='least score of a box; default 0')
    parser.add_argument('--batch-size', type=int, default=4, help='images at a time; default 4')
    parser.add_argument('--workers', type=int, default=4, help='processes that decode images; default 4')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE',
                        help='override fields of the configuration, e.g. model.test_cfg.rpn.nms.iou_threshold=0.9')
    args = parser.parse_args()
    if args.top_k < 1 or args.batch_size < 1:
        parser.error('--top-k, --batch-size: expected at least 1')
    return args


class ImageFiles(Dataset):
    """The images that still lack proposals, through a test pipeline.

    Args:
        table: images of the annotation file.
        indices: those to load.
        pipeline: transforms of mmdet.
    """

    def __init__(self, table: RegionTable, indices: list[int], pipeline: Compose) -> None:
        self.table = table
        self.indices = indices
        self.pipeline = pipeline

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, item: int) -> dict[str, Any]:
        i = self.indices[item]
        return self.pipeline({'img_path': self.table.img_paths[i], 'img_id': self.table.img_ids[i]})


def load_config(args: argparse.Namespace) -> Config:
    """The configuration with the command line's overrides, without weights of its own.

    Args:
        args: the command line.
    """
    config = Config.fromfile(args.config)
    config.merge_from_dict(args.cfg_options or {})
    config.model.backbone.init_cfg = None
    if 'test_dataloader' not in config:
        raise SystemExit(f"{args.config}: found no 'test_dataloader', expected the test pipeline in its dataset")
    return config


def load_detector(config: Config, checkpoint: str) -> nn.Module:
    """The detector with its weights on this machine's device, in eval mode.

    Args:
        config: of mmdet.
        checkpoint: every weight of the model; loaded strictly.
    """
    from mmdet.registry import MODELS
    from mmengine.model import revert_sync_batchnorm
    model = revert_sync_batchnorm(MODELS.build(config.model))
    try:
        load_checkpoint(model, checkpoint, map_location='cpu', strict=True)
    except (OSError, RuntimeError) as error:
        raise SystemExit(f'{checkpoint}: found weights that do not fit, expected those of {config.filename}: '
                         f'{str(error)[:1000]}') from error
    return model.to(get_device()).eval()


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
    xywh = torch.cat([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], dim=1).round(decimals=2)
    keep = ((scores >= min_score) & (xywh[:, 2:] > 0).all(1)).nonzero().flatten()[:top_k]
    return xywh[keep].tolist(), scores[keep].round(decimals=4).tolist()


def propose_all(model: nn.Module, table: RegionTable, pipeline: Compose, part: PartFile,
                args: argparse.Namespace) -> None:
    """Runs the detector on the images that the part file does not hold yet; prints progress and the time left.

    Args:
        model: the detector.
        table: all images.
        pipeline: loads an image.
        part: where entries go.
        args: the command line.
    """
    finished = {entry['id'] for entry in part.entries()}
    todo = [i for i, img_id in enumerate(table.img_ids) if img_id not in finished]
    if finished:
        print(f'going on after {len(finished)} finished images', flush=True)
    loader = DataLoader(ImageFiles(table, todo, pipeline), args.batch_size, num_workers=args.workers,
                        collate_fn=pseudo_collate)
    start = said = time.monotonic()
    for done, batch in enumerate(loader, 1):
        part.add(propose(model, batch, args.top_k, args.min_score))
        now, images = time.monotonic(), min(done * args.batch_size, len(todo))
        if now - said > 10 or images == len(todo):
            said, left = now, (now - start) / images * (len(todo) - images)
            print(f'{images} of {len(todo)} images, {images / (now - start):.1f} per s, {left / 60:.1f} min left',
                  flush=True)


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


def run_key(config: Config, table: RegionTable, args: argparse.Namespace) -> str:
    """What the proposals depend on, so that a run is not continued with other settings.

    Args:
        config: with its overrides.
        table: all images.
        args: the command line.
    """
    digest = hashlib.sha256(Path(args.checkpoint).read_bytes())
    parts = [config.model.to_dict(), config.test_dataloader.dataset.pipeline, table.img_ids, args.top_k, args.min_score]
    digest.update(repr(parts).encode())
    return digest.hexdigest()


def main() -> None:
    args = parse_args()
    if args.out.exists():
        print(f'{args.out} is there already; delete it to make it anew')
        return
    if not Path(args.checkpoint).is_file():
        raise SystemExit(f'{args.checkpoint}: found no such file, expected the weights of {args.config}')
    for library in ('mmcv', 'mmdet'):
        require(library)
    from mmdet.utils import register_all_modules
    register_all_modules(init_default_scope=False)
    config = load_config(args)
    table = load_coco(args.ann_file, args.img_prefix, (), '')
    part = PartFile(args.out.with_name(args.out.name + '.part'), run_key(config, table, args))
    with DefaultScope.overwrite_default_scope(config.get('default_scope', 'mmdet')):
        propose_all(load_detector(config, args.checkpoint), table, build_pipeline(config), part, args)
    write_proposals(args.out, part.entries(), table, args.img_prefix)
    part.path.unlink()


if __name__ == '__main__':
    main()
