"""The benchmarks of open-vocabulary segmentation that mmseg does not have."""
from rsc_mm.models.text.class_names import read_class_names
from rsc_mm.registry import DATASETS

from .label_map_dataset import LabelMapDataset


@DATASETS.register_module()
class ADE20K847Dataset(LabelMapDataset):
    """ADE20K's 847 classes (A-847): the full release, 2,000 validation images, 16-bit maps."""

    METAINFO = dict(classes=tuple(read_class_names('ade847')))
    PREPARE = 'tools/data/prepare_ade847.py'


@DATASETS.register_module()
class PascalContext459Dataset(LabelMapDataset):
    """Pascal Context's 459 classes (PC-459): 5,105 validation images of VOC 2010, 16-bit maps."""

    METAINFO = dict(classes=tuple(read_class_names('pc459')))
    PREPARE = 'tools/data/prepare_pascal_context.py'


@DATASETS.register_module()
class COCOObjectDataset(LabelMapDataset):
    """COCO's 80 things and 'background' as label 0 (COCO-Object, 81 classes): val2017."""

    METAINFO = dict(classes=tuple(read_class_names('coco_object')))
    PREPARE = 'tools/data/prepare_coco_stuff.py'

    def __init__(self, seg_map_suffix: str = '_object.png', **kwargs: object) -> None:
        super().__init__(seg_map_suffix=seg_map_suffix, **kwargs)


@DATASETS.register_module()
class PascalVOC21Dataset(LabelMapDataset):
    """VOC 2012's 20 classes and 'background' as label 0 (VOC21): 1,449 validation images; the official files."""

    METAINFO = dict(classes=tuple(read_class_names('voc21')))
