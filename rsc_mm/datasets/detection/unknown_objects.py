from pathlib import Path
from typing import Any

from mmdet.datasets import CocoDataset, LVISV1Dataset
from mmengine.logging import print_log

from rsc_mm.registry import DATASETS

from ..unknown_objects import read_unknown_objects


@DATASETS.register_module()
class UnknownObjectsCocoDataset(CocoDataset):
    """mmdet's ``CocoDataset`` with pseudo boxes of unknown objects beside the annotations (OV-DQUO).

    They take part in flips, crops and resizing like annotated boxes, with labels below 0; the pipeline ends with
    `PackUnknownObjects`. Boxes are cut at the border of the image. Crowds keep mmdet's ``ignore_flag`` and are no
    objects. Images without annotations are left out even if they have pseudo boxes (``filter_cfg``).

    Args:
        unknown_objects: file of the boxes, see `read_unknown_objects`, below ``data_root``; None: none.
        **kwargs: see mmdet.

    Raises:
        FileNotFoundError, ValueError: see `read_unknown_objects`; or no entry belongs to an image of the set.
    """

    def __init__(self, *args: Any, unknown_objects: str | None = None, **kwargs: Any) -> None:
        self.unknown_objects = unknown_objects
        super().__init__(*args, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Images with annotations and pseudo boxes, see mmdet."""
        self._unknown = {}
        if self.unknown_objects is None:
            return super().load_data_list()
        path = Path(self.data_root or '', self.unknown_objects)
        self._unknown = read_unknown_objects(path)
        images = super().load_data_list()
        used = {image['img_id'] for image in images} & self._unknown.keys()
        if self._unknown and not used:
            raise ValueError(f'{path}: found no entry of an image in {self.ann_file}, expected pseudo boxes of the '
                             f'same data set; the first entry has the image_id {next(iter(self._unknown))!r}')
        count = sum(len(image['unknown_weights']) for image in images)
        small = sum(len(self._unknown[number][1]) for number in used) - count
        print_log(f'{path}: {count} pseudo boxes on {len(used)} of {len(images)} images; left out: {small} of less '
                  f'than a pixel inside their image, and {len(self._unknown) - len(used)} images that are not in '
                  f'{self.ann_file}', 'current')
        del self._unknown
        return images

    def parse_data_info(self, raw_data_info: dict) -> dict:
        """An image with its annotations, then its pseudo boxes.

        Args:
            raw_data_info: see mmdet.
        """
        info = super().parse_data_info(raw_data_info)
        weights = []
        for (x, y, width, height), weight in zip(*self._unknown.get(info['img_id'], ((), ()))):
            box = [max(x, 0.), max(y, 0.), min(x + width, info['width']), min(y + height, info['height'])]
            if box[2] - box[0] < 1 or box[3] - box[1] < 1:  # as mmdet does with annotations
                continue
            info['instances'].append(dict(bbox=box, bbox_label=-1 - len(weights), ignore_flag=0))
            weights.append(float(weight))
        info['unknown_weights'] = weights
        return info

    def get_cat_ids(self, idx: int) -> list[int]:
        """Labels of the annotated objects of an image, by which samplers balance classes.

        Args:
            idx: of the image.
        """
        return [label for label in super().get_cat_ids(idx) if label >= 0]


@DATASETS.register_module()
class UnknownObjectsLVISDataset(UnknownObjectsCocoDataset, LVISV1Dataset):
    """mmdet's ``LVISV1Dataset`` with pseudo boxes, see `UnknownObjectsCocoDataset`."""
