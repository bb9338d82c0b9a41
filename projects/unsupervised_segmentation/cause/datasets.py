"""Cityscapes and COCO-Stuff with CAUSE's 27 classes, and crops at five places of an image."""
from collections.abc import Sequence
from typing import Any

from mmcv.transforms import BaseTransform
from mmengine.dataset import BaseDataset
from torch.utils.data import Dataset

from rsc_mm.datasets.label_sources import COCO_STUFF_IDS
from rsc_mm.datasets.segmentation import LabelMapDataset
from rsc_mm.registry import DATASETS, TRANSFORMS

CITYSCAPES_CLASSES = (
    'road', 'sidewalk', 'parking', 'rail track', 'building', 'wall', 'fence', 'guard rail', 'bridge', 'tunnel', 'pole',
    'polegroup', 'traffic light', 'traffic sign', 'vegetation', 'terrain', 'sky', 'person', 'rider', 'car', 'truck',
    'bus', 'caravan', 'trailer', 'train', 'motorcycle', 'bicycle')
FIRST_CITYSCAPES_ID = 7

# The numbers of stuffthingmaps' pixels, 0 to 181, in each of the 12 things and 15 kinds of stuff.
COCO_STUFF_GROUPS: dict[str, tuple[int, ...]] = {
    'electronic': (71, 72, 73, 74, 75, 76),
    'appliance': (77, 78, 79, 80, 81, 82),
    'food': (51, 52, 53, 54, 55, 56, 57, 58, 59, 60),
    'furniture': (61, 62, 63, 64, 65, 66, 67, 68, 69, 70),
    'indoor': (83, 84, 85, 86, 87, 88, 89, 90),
    'kitchen': (43, 44, 45, 46, 47, 48, 49, 50),
    'accessory': (25, 26, 27, 28, 29, 30, 31, 32),
    'animal': (15, 16, 17, 18, 19, 20, 21, 22, 23, 24),
    'outdoor': (9, 10, 11, 12, 13, 14),
    'person': (0, ),
    'sports': (33, 34, 35, 36, 37, 38, 39, 40, 41, 42),
    'vehicle': (1, 2, 3, 4, 5, 6, 7, 8),
    'ceiling': (101, 102),
    'floor': (100, 113, 114, 115, 116, 117),
    'food stuff': (120, 121, 152, 169),
    'furniture stuff': (97, 106, 107, 109, 111, 122, 129, 132, 155, 160, 164),
    'raw material': (99, 131, 138, 142),
    'textile': (91, 92, 103, 104, 108, 130, 136, 140, 151, 166, 167),
    'wall': (170, 171, 172, 173, 174, 175, 176),
    'window': (179, 180),
    'building': (94, 95, 127, 150, 157, 165),
    'ground': (110, 124, 125, 135, 139, 143, 144, 146, 148, 153, 158),
    'plant': (93, 96, 118, 123, 128, 133, 141, 162, 168),
    'sky': (105, 156),
    'solid': (126, 134, 149, 159, 161, 181),
    'structural': (98, 112, 137, 145, 163),
    'water': (119, 147, 154, 177, 178),
}
COCO_STUFF_LABELS = {number: label for label, numbers in enumerate(COCO_STUFF_GROUPS.values()) for number in numbers}


class GroupedLabelDataset(LabelMapDataset):
    """Label maps whose numbers are joined to coarser classes, without files in between.

    Args:
        **kwargs: see `LabelMapDataset`.

    Raises:
        ValueError: ``metainfo`` asks for other classes.
    """

    GROUPS: dict[int, int] = {}
    """The class of each number of the files; pixels of all others have none."""

    @classmethod
    def get_label_map(cls, new_classes: Sequence[str] | None = None) -> dict[int, int]:
        """`GROUPS`.

        Args:
            new_classes: of ``metainfo``; None or the data set's own.

        Raises:
            ValueError: they are other ones.
        """
        classes = cls.METAINFO['classes']
        if new_classes is not None and tuple(new_classes) != classes:
            raise ValueError(f"{cls.__name__}.metainfo['classes']: found {list(new_classes)[:3]} ..., expected none or "
                             f'the {len(classes)} of CAUSE')
        return cls.GROUPS


@DATASETS.register_module()
class Cityscapes27Dataset(GroupedLabelDataset):
    """Cityscapes with the 27 classes of the ids 7 to 33, read from ``*_gtFine_labelIds.png``.

    Args:
        **kwargs: see `LabelMapDataset`.
    """

    METAINFO = dict(classes=CITYSCAPES_CLASSES)
    GROUPS = {FIRST_CITYSCAPES_ID + label: label for label in range(len(CITYSCAPES_CLASSES))}

    def __init__(self, img_suffix: str = '_leftImg8bit.png', seg_map_suffix: str = '_gtFine_labelIds.png',
                 **kwargs: Any) -> None:
        super().__init__(img_suffix=img_suffix, seg_map_suffix=seg_map_suffix, **kwargs)


@DATASETS.register_module()
class COCOStuff27Dataset(GroupedLabelDataset):
    """COCO-Stuff with 12 things and 15 kinds of stuff, read from the official pngs of stuffthingmaps (0 to 181).

    Args:
        **kwargs: see `LabelMapDataset`.
    """

    METAINFO = dict(classes=tuple(COCO_STUFF_GROUPS))
    GROUPS = COCO_STUFF_LABELS


@DATASETS.register_module()
class COCOStuff27From171Dataset(GroupedLabelDataset):
    """The same, read from maps of 171 classes, which tools/data/prepare_coco_stuff.py writes.

    Args:
        **kwargs: see `LabelMapDataset`.
    """

    METAINFO = COCOStuff27Dataset.METAINFO
    PREPARE = 'tools/data/prepare_coco_stuff.py'
    GROUPS = {label: COCO_STUFF_LABELS[number - 1] for label, number in enumerate(COCO_STUFF_IDS)}

    def __init__(self, seg_map_suffix: str = '_labelTrainIds.png', **kwargs: Any) -> None:
        super().__init__(seg_map_suffix=seg_map_suffix, **kwargs)


@DATASETS.register_module()
class FiveCropDataset(Dataset):
    """Every image of a data set five times, for `HalfCrop` in its pipeline.

    The public code stores the crops as files; here they are cut when they are read.

    Args:
        dataset: config, or the data set.
    """

    def __init__(self, dataset: dict | BaseDataset) -> None:
        self.dataset = DATASETS.build(dataset) if isinstance(dataset, dict) else dataset

    @property
    def metainfo(self) -> dict:
        """Of the data set."""
        return self.dataset.metainfo

    def full_init(self) -> None:
        """Load the annotations."""
        self.dataset.full_init()

    def __len__(self) -> int:
        return 5 * len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        image, place = divmod(int(index), 5)
        return self.dataset.pipeline({**self.dataset.get_data_info(image), 'place': place})


@TRANSFORMS.register_module()
class HalfCrop(BaseTransform):
    """The quarter of an image, half as high and half as wide, at one of five places: its corners and its centre."""

    def transform(self, results: dict) -> dict:
        """Cuts image and label map.

        Args:
            results: with ``place`` of `FiveCropDataset`: 0 to 3 upper left and right, lower left and right, 4 centre.

        Raises:
            ValueError: it has no place.
        """
        if 'place' not in results:
            raise ValueError("HalfCrop: found no 'place', expected the data set within rsc_mm.FiveCropDataset")
        height, width = results['img'].shape[:2]
        rows, columns = height // 2, width // 2
        corner = {0: (0, 0), 1: (0, width - columns), 2: (height - rows, 0), 3: (height - rows, width - columns),
                  4: ((height - rows) // 2, (width - columns) // 2)}[results['place']]
        window = (slice(corner[0], corner[0] + rows), slice(corner[1], corner[1] + columns))
        for key in ('img', *results.get('seg_fields', ())):
            results[key] = results[key][window]
        results['img_shape'] = (rows, columns)
        return results
