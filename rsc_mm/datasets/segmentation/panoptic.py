from collections.abc import Sequence
from pathlib import Path

from mmseg.datasets import BaseSegDataset

from rsc_mm.registry import DATASETS

from ..annotations import load_coco
from ..label_maps import IGNORE


@DATASETS.register_module()
class PanopticLabelDataset(BaseSegDataset):
    """COCO panoptic annotations as semantic segmentation, without files in between; `LoadPanopticLabels` reads them.

    Things of one class are one label, crowds included. The classes are the file's ``categories`` in the order of their
    ids (COCO: 133, Shapes: 18), or those of ``classes``; pixels of all others then have no class, so that a training
    does not see what is held out. To write label maps once instead: tools/data/panoptic_to_semantic.py.

    Args:
        ann_file: panoptic json, below ``data_root``.
        data_prefix: ``img_path`` and ``seg_map_path``: folders of the images and of the pngs, below ``data_root``.
        data_root: folder of all.
        classes: names of the file in the order of the labels, some or all; None: all.
        **kwargs: see mmseg's ``BaseSegDataset``.

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
        names = tuple(classes or self._table.classes)
        unknown = sorted(set(names) - set(self._table.classes))
        if unknown:
            raise ValueError(f"{type(self).__name__} field 'classes': found {unknown[:8]}, expected names of the "
                             f"{len(self._table.classes)} 'categories' of {path}")
        label = {name: i for i, name in enumerate(names)}
        self._labels = [label.get(name, IGNORE) for name in self._table.classes]
        super().__init__(ann_file=path, data_prefix=folders, metainfo=dict(classes=names), **kwargs)

    def load_data_list(self) -> list[dict]:
        """One entry for each image that has a png, with the ids and labels of its segments."""
        records = (self._table.record(i) for i in range(len(self._table)))
        return [dict(img_path=record.img_path, seg_map_path=record.segmentation_path, segment_ids=record.segment_ids,
                     segment_labels=[self._labels[i] for i in record.labels], label_map=None,
                     reduce_zero_label=False, seg_fields=[])
                for record in records if record.segmentation_path is not None]
