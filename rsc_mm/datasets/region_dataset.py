"""Images with regions, for distillation and for region classification."""
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import print_log
from mmengine.registry import FUNCTIONS
from torch.utils.data import Dataset

from rsc_mm.registry import DATASETS, TASK_UTILS

from .annotations import below, list_images
from .image_io import BadImageError, check_boxes, check_shape, image_shape, read_image
from .packed_annotations import load_packed
from .region_sources import check_at_least_one
from .region_table import keep_images, merge_tables
from .samplers import Draw
from .shards import ShardTable, load_shards, shard_names
from .structures import RegionSample


@DATASETS.register_module()
class RegionDataset(Dataset):
    """Images of COCO-style annotation files or plain folders, each with the regions that ``regions`` draws.

    An item is ``dict(inputs, data_samples)``: the whole image (3, H, W) uint8 RGB as decoded, and a `RegionSample` in
    its pixels. Resizing, cropping and normalising follow in `RegionPreprocessor`, on the model's device.

    Everything random in an item comes from a generator seeded by `Draw` (seed, epoch, index), so an epoch is the same
    for any number of workers and processes. A plain integer index means seed 0 and epoch 0.

    A bad image (missing, truncated, of another size than annotated; see `BadImageError`) is logged by name, counted
    once and becomes None, which `region_collate` drops. The count is shared by all workers of a process; beyond
    ``max_bad_images`` the item raises, with the list. The default 0 is right for evaluation.

    Args:
        regions: config of a region source, or the source: `GridRegions`, `ProposalRegions`, `RegionTextRegions`,
            `InstanceRegions`, `PanopticRegions`.
        ann_file: COCO, LVIS or panoptic json below ``data_root``; None takes every image below ``img_prefix``,
            or if that has ``.tar`` files the images in them (`load_shards`).
        data_root: folder of the data set. A list of roots joins them, all with the same or each with its own
            ``ann_file`` and ``img_prefix`` (then lists as well); image ids become 'ROOT NUMBER/ID'.
        img_prefix: folder of the images below ``data_root``.
        seg_prefix: folder of the panoptic pngs below ``data_root``; default: ``ann_file`` without '.json'.
        max_bad_images: number of bad images to skip, in each process of a distributed run, before training stops.
        cache_dir: folder of the packed copies of large annotation files, see `load_packed`.
        redraw_every: epochs for which an image keeps the regions that were drawn for it, for `CachedTargets`.

    Raises:
        FileNotFoundError, ValueError: a file or folder is missing or breaks its format.
    """

    def __init__(self, regions: Any, ann_file: str | list[str | None] | None = None, data_root: str | list[str] = '',
                 img_prefix: str | list[str] = '', seg_prefix: str | None = None, max_bad_images: int = 0,
                 cache_dir: str | None = None, redraw_every: int = 1) -> None:
        check_at_least_one('RegionDataset', redraw_every=redraw_every)
        self.regions = _build_source(regions)
        self.cache_dir = cache_dir
        self.redraw_every = redraw_every
        self.max_bad_images = max_bad_images
        roots = _one_per_root(data_root=data_root, ann_file=ann_file, img_prefix=img_prefix)
        tables = [self._load_root(*root, seg_prefix) for root in roots]
        if len(tables) > 1 and any(isinstance(table, ShardTable) for table in tables):
            raise ValueError(f'RegionDataset.data_root: found {len(tables)} roots of which one has shards, expected '
                             'shards in a root of their own')
        self.table = merge_tables(tables)
        self._read_image, self._image_shape = self._read_image_file, self._image_file_shape
        if isinstance(self.table, ShardTable):
            self._read_image, self._image_shape = self.table.read_image, self.table.image_shape
        if self.table.left_out:
            print_log(self.table.left_out, 'current', level=30)
        if self.regions.needs:
            self._check_annotated(ann_file)
        # In shared memory: workers mark the images that they found bad, whoever marks last sees all of them.
        self._bad = torch.zeros(len(self.table), dtype=torch.bool).share_memory_()

    @property
    def metainfo(self) -> dict[str, Any]:
        """``classes``: T names in label order; ``is_thing``: T flags. Empty where the source reads no categories."""
        return {'classes': self.table.classes, 'is_thing': tuple(self.table.is_thing.tolist())}

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, item: int | tuple[int, ...]) -> dict[str, Any] | None:
        """The image and regions of one draw, or None for a bad image.

        Raises:
            BadImageError: more than ``max_bad_images`` images are bad.
        """
        draw = Draw(*item) if isinstance(item, tuple) else Draw(item)
        if not 0 <= draw.index < len(self):
            raise IndexError(f'index {draw.index} is not in a dataset of {len(self)} images')
        try:
            return self._load(draw)
        except BadImageError as error:
            self._count_bad(draw.index, error)
            return None

    def aspect_ratios(self) -> np.ndarray:
        """Height / width of every image (n,), for `AspectRatioBatchSampler`; reads headers where no json tells."""
        shapes = self.table.shapes.copy()
        for i in np.flatnonzero(shapes.min(1) <= 0):
            shapes[i] = self._image_shape(i)
        return shapes[:, 0] / shapes[:, 1]

    def _read_image_file(self, index: int) -> torch.Tensor:
        return read_image(self.table.img_paths[index])

    def _image_file_shape(self, index: int) -> tuple[int, int]:
        return image_shape(self.table.img_paths[index])

    def _load(self, draw: Draw) -> dict[str, Any]:
        record = self.table.record(draw.index)
        image = self._read_image(draw.index)
        check_shape(record.img_path, image.shape[1:], record.shape)
        if min(record.shape) <= 0:  # the json does not say it
            check_boxes(record.img_path, record.boxes, image.shape[1:])
        record.shape = image.shape[1], image.shape[2]
        fields = self.regions(record, np.random.default_rng([draw.seed, draw.epoch // self.redraw_every, draw.index]))
        meta = {'img_id': record.img_id, 'img_path': record.img_path, 'ori_shape': record.shape}
        return {'inputs': image, 'data_samples': RegionSample(metainfo=meta, **fields)}

    def _count_bad(self, index: int, error: BadImageError) -> None:
        self._bad[index] = True
        count = int(self._bad.sum())
        if count > self.max_bad_images:
            reasons = '\n'.join(f'  {self._reason(i)}' for i in self._bad.nonzero().flatten().tolist())
            raise BadImageError(f'RegionDataset.max_bad_images: found {count} bad images, expected at most '
                                f'{self.max_bad_images}; repair or remove them, or raise the limit:\n{reasons}')
        print_log(f'skipped bad image {count} of at most {self.max_bad_images}: {error}', 'current', level=30)

    def _reason(self, index: int) -> str:
        """Why an image that some worker marked is bad; the workers share the marks, not the messages."""
        try:
            self._load(Draw(index))
        except BadImageError as error:
            return str(error)
        return f'{self.table.img_paths[index]}: could not be read before, can be read now'

    def _load_root(self, data_root: str, ann_file: str | None, img_prefix: str, seg_prefix: str | None) -> Any:
        """The `RegionTable` of a root, or the `ShardTable` of its shards."""
        image_root = str(Path(data_root, img_prefix))
        if ann_file is None:
            if self.regions.needs:
                raise ValueError(f'RegionDataset.ann_file: found None, expected a json with {list(self.regions.needs)} '
                                 f'for {type(self.regions).__name__}')
            return load_shards(image_root, self.cache_dir) if shard_names(image_root) else list_images(image_root)
        path = str(Path(data_root, ann_file))
        segmentation_root = path.removesuffix('.json') if seg_prefix is None else str(Path(data_root, seg_prefix))
        return below(load_packed(path, self.regions.needs, self.cache_dir), image_root, segmentation_root)

    def _check_annotated(self, ann_file: str | list[str | None] | None) -> None:
        """Says how many images have no annotation, and leaves them out where the source wants none of them."""
        keep = np.diff(self.table.first) > 0
        if not keep.any():
            raise ValueError(f'{ann_file}, RegionDataset.ann_file: found no image with an annotation, expected at '
                             f'least one of the {len(keep)} images with boxes for {type(self.regions).__name__}; is it '
                             'the right file?')
        if keep.all():
            return
        consequence = 'are left out' if self.regions.annotated_only else \
            getattr(self.regions, 'without_annotation', 'have no region')
        print_log(f'{(~keep).sum()} of {len(keep)} images have no annotation and {consequence}', 'current', level=30)
        if self.regions.annotated_only:
            self.table = keep_images(self.table, keep)


# In MMEngine's own registry, because its Runner looks collate functions up there without the default scope.
@FUNCTIONS.register_module()
def region_collate(batch: list[dict[str, Any] | None]) -> dict[str, list]:
    """Joins items into lists and drops the bad images; a batch of only bad images has empty lists.

    Args:
        batch: B items of `RegionDataset`.

    Returns:
        ``inputs``: at most B images (3, H_i, W_i); ``data_samples``: their `RegionSample`.
    """
    items = [item for item in batch if item is not None]
    return {key: [item[key] for item in items] for key in ('inputs', 'data_samples')}


def _build_source(regions: Any) -> Any:
    if callable(regions):
        return regions
    if not isinstance(regions, dict) or 'type' not in regions:
        raise TypeError(f"RegionDataset.regions: found {regions!r}, expected a config such as dict(type='GridRegions')")
    if isinstance(regions['type'], str) and TASK_UTILS.get(regions['type']) is None:
        known = [key for key in TASK_UTILS.module_dict if key.endswith('Regions')]
        raise KeyError(f"RegionDataset.regions.type: found {regions['type']!r}, expected one of {known}")
    return TASK_UTILS.build(regions)


def _one_per_root(**fields: str | list | None) -> list[tuple]:
    """The fields of every root; a field that is no list holds for all of them."""
    lengths = {key: len(value) for key, value in fields.items() if isinstance(value, list | tuple)}
    if len(set(lengths.values())) > 1 or 0 in lengths.values():
        raise ValueError(f'RegionDataset: found lists of {lengths}, expected lists of one length, an entry per root')
    n = next(iter(lengths.values()), 1)
    return list(zip(*[value if key in lengths else [value] * n for key, value in fields.items()]))
