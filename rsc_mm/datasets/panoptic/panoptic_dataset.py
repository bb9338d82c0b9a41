from collections.abc import Sequence
from pathlib import Path

from mmengine.dataset import BaseDataset

from rsc_mm.registry import DATASETS

from ..annotations import load_coco, load_crowds
from ..structures import ImageRecord


@DATASETS.register_module()
class PanopticSegmentDataset(BaseDataset):
    """COCO panoptic annotations for Mask2Former, things first whatever the order of the file's ids.

    mmdet's post-processing takes the first labels for things; in ADE20K's json they are mixed with stuff. It also needs
    panopticapi, which no package index has; here `LoadPanopticSegments` reads the pngs.

    Args:
        ann_file: panoptic json, below ``data_root``.
        data_prefix: ``img_path`` and ``seg_map_path``: folders of the images and of the pngs, below ``data_root``.
        data_root: folder of all.
        classes: names of the file whose segments are read; the others' pixels have no class, so that a training does
            not see what is held out. None: all.
        **kwargs: see MMEngine's ``BaseDataset``.

    Attributes:
        metainfo: ``classes`` (T names: things in the order of their ids, then stuff) and ``num_things``.

    Raises:
        FileNotFoundError, ValueError: the json is missing or breaks the format; the message names the entry. Or a
            class is not in it.
    """

    def __init__(self, ann_file: str, data_prefix: dict, data_root: str = '', classes: Sequence[str] | None = None,
                 **kwargs: object) -> None:
        folders = {key: str(Path(data_root, value)) for key, value in data_prefix.items()}
        path = str(Path(data_root, ann_file))
        self._table = load_coco(path, folders['img_path'], ('bbox', 'category_id', 'segments_info'),
                                folders['seg_map_path'])
        self._crowds = load_crowds(path)
        names, is_thing = self._table.classes, self._table.is_thing
        unknown = sorted(set(classes or ()) - set(names))
        if unknown:
            raise ValueError(f"PanopticSegmentDataset field 'classes': found {unknown[:8]}, expected names of the "
                             f"{len(names)} 'categories' of {path}")
        kept = [i for i, name in enumerate(names) if classes is None or name in classes]
        order = sorted(kept, key=lambda i: not is_thing[i])  # stable: things, then stuff, each by id
        self._labels = {i: label for label, i in enumerate(order)}
        meta = dict(classes=tuple(names[i] for i in order), num_things=int(is_thing[kept].sum()))
        super().__init__(ann_file=path, data_prefix=folders, metainfo=meta, **kwargs)

    def load_data_list(self) -> list[dict]:
        """One entry for each image that has a png: ``segments`` is a list of (id in the png, label, is crowd)."""
        records = (self._table.record(i) for i in range(len(self._table)))
        return [dict(img_id=record.img_id, img_path=record.img_path, seg_map_path=record.segmentation_path,
                     height=record.shape[0], width=record.shape[1], segments=self._segments(record))
                for record in records if record.segmentation_path is not None]

    def _segments(self, record: ImageRecord) -> list[tuple[int, int, bool]]:
        return [(int(number), self._labels[label], (record.img_id, number) in self._crowds)
                for number, label in zip(record.segment_ids.tolist(), record.labels.tolist()) if label in self._labels]
