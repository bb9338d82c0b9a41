"""The data sets and metrics of the configs on made-up files of the right format: a perfect detection scores 100."""
import json
from multiprocessing.dummy import Pool

import numpy as np
import pytest
import torch
from mmdet.datasets import Objects365V1Dataset
from mmdet.registry import DATASETS, METRICS
from mmengine.config import Config
from mmengine.structures import InstanceData
from PIL import Image

from rsc_mm.engine.class_order_hook import check_class_order
from rsc_mm.models.text import read_class_names
from rsc_mm.models.text.vocabulary import read_base_classes
from tests.test_tools.common import REPOSITORY

BOX = [8, 10, 40, 34]  # x1, y1, x2, y2
# pycocotools 2.0.11 about itself under NumPy 2, where masks are decoded.
pytestmark = pytest.mark.filterwarnings('ignore:__array__ implementation:DeprecationWarning')
LVIS = read_class_names('lvis')  # in the official file's spelling
OBJECTS365 = list(Objects365V1Dataset.METAINFO['classes'])


def write_image(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)).save(path)


def write_json(path, folder, names):
    """One image with one object of the first class, with what COCO, LVIS and Objects365 hold of it."""
    x1, y1, x2, y2 = BOX
    image = dict(id=1, file_name='1.jpg', coco_url=f'http://images.cocodataset.org/{folder}1.jpg', height=48, width=64,
                 neg_category_ids=[2], not_exhaustive_category_ids=[])
    annotation = dict(id=1, image_id=1, category_id=1, bbox=[x1, y1, x2 - x1, y2 - y1], area=(x2 - x1) * (y2 - y1),
                      iscrowd=0, segmentation=[[x1, y1, x2, y1, x2, y2, x1, y2]])
    categories = [dict(id=i, name=name, frequency='fcr'[i % 3], image_count=1, instance_count=1)
                  for i, name in enumerate(names, 1)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(dict(images=[image], annotations=[annotation], categories=categories)))


def write_voc(root):
    for folder in ('Annotations', 'ImageSets/Main'):
        (root / 'VOC2007' / folder).mkdir(parents=True)
    (root / 'VOC2007/ImageSets/Main/test.txt').write_text('1\n')
    corners = ''.join(f'<{name}>{side}</{name}>' for name, side in zip(
        ('xmin', 'ymin', 'xmax', 'ymax'), (BOX[0] + 1, BOX[1] + 1, BOX[2] + 1, BOX[3] + 1)))  # VOC counts from 1
    (root / 'VOC2007/Annotations/1.xml').write_text(
        '<annotation><size><width>64</width><height>48</height><depth>3</depth></size><object><name>aeroplane</name>'
        f'<difficult>0</difficult><bndbox>{corners}</bndbox></object></annotation>')


def perfect(sample):
    """The sample with its object as the prediction."""
    masks = torch.zeros(1, 48, 64, dtype=torch.bool)
    masks[:, BOX[1]:BOX[3], BOX[0]:BOX[2]] = True
    sample.pred_instances = InstanceData(bboxes=torch.tensor([BOX]).float(), scores=torch.ones(1),
                                         labels=torch.zeros(1, dtype=torch.long), masks=masks)
    return sample.to_dict()


def score(config):
    """The test set, its first item, and the metrics of a perfect detection."""
    dataset = DATASETS.build(config.test_dataloader.dataset)
    item, metric = dataset[0], METRICS.build(config.test_evaluator)
    metric.dataset_meta = dataset.metainfo
    metric.process({}, [perfect(item['data_samples'])])
    return dataset, item, metric.evaluate(size=1)


@pytest.mark.parametrize('leaf, root, file, folder, names, expected', [
    ('fvit_vitb16_ovcoco', 'COCO_ROOT', 'instances_val2017_ov', 'val2017/', 'ov_coco',
     ['base_ap50', 'all_ap50', 'bbox_mAP_50']),
    ('fvit_vitl14_transfer_coco', 'COCO_ROOT', 'instances_val2017', 'val2017/', 'coco', ['bbox_mAP_50']),
    ('fvit_vitl14_transfer_objects365v1', 'OBJECTS365_ROOT', 'objects365_val', 'val/', OBJECTS365, ['bbox_mAP_50']),
])
def test_coco_format(tmp_path, monkeypatch, leaf, root, file, folder, names, expected):
    monkeypatch.setenv(root, str(tmp_path))
    names = read_class_names(names)
    write_json(tmp_path / 'annotations' / f'{file}.json', folder, names)
    write_image(tmp_path / folder / '1.jpg')
    config = Config.fromfile(REPOSITORY / f'configs/fvit/{leaf}.py')
    dataset, item, metrics = score(config)
    assert [metrics[f'coco/{name}'] for name in expected] == pytest.approx([100] * len(expected))
    size = config.test_dataloader.dataset.pipeline[1].scale[0]
    assert item['inputs'].shape == (3, size * 3 // 4, size)
    check_class_order(dataset, tuple(read_class_names(config.model.roi_head.bbox_head.classes)))


def test_lvis_format(tmp_path, monkeypatch):
    monkeypatch.setenv('LVIS_ROOT', str(tmp_path))
    write_json(tmp_path / 'annotations' / 'lvis_v1_val.json', 'val2017/', LVIS)
    write_image(tmp_path / 'val2017' / '1.jpg')
    config = Config.fromfile(REPOSITORY / 'configs/fvit/fvit_vitb16_ovlvis.py')
    dataset, item, metrics = score(config)
    names = [f'lvis/{kind}_{name}' for kind in ('bbox', 'segm') for name in ('AP', 'APc')]
    assert [metrics[name] for name in names] == pytest.approx([100] * 4)
    head = config.model.roi_head.bbox_head
    check_class_order(dataset, tuple(read_class_names(head.classes)))
    assert len(read_base_classes(head.base_classes)) == 866


def test_voc_format(tmp_path, monkeypatch):
    monkeypatch.setenv('VOC_ROOT', str(tmp_path))
    monkeypatch.setattr('mmdet.evaluation.functional.mean_ap.Pool', Pool)  # its forks may inherit a lock and hang
    write_voc(tmp_path)
    write_image(tmp_path / 'VOC2007' / 'JPEGImages' / '1.jpg')
    config = Config.fromfile(REPOSITORY / 'configs/fvit/fvit_vitl14_transfer_voc.py')
    dataset, item, metrics = score(config)
    assert [metrics[f'pascal_voc/{name}'] for name in ('AP50', 'AP75')] == pytest.approx([100, 100])
    check_class_order(dataset, tuple(read_class_names(config.model.roi_head.bbox_head.classes)))


@pytest.mark.parametrize('leaf, root, file, names', [
    ('fvit_vitb16_ovcoco', 'COCO_ROOT', 'instances_train2017_base', 'ov_coco'),
    ('fvit_vitl14_ovlvis', 'LVIS_ROOT', 'lvis_v1_train_base', LVIS),
])
def test_training_pipelines(tmp_path, monkeypatch, leaf, root, file, names):
    monkeypatch.setenv(root, str(tmp_path))
    write_json(tmp_path / 'annotations' / f'{file}.json', 'train2017/', read_class_names(names))
    write_image(tmp_path / 'train2017' / '1.jpg')
    config = Config.fromfile(REPOSITORY / f'configs/fvit/{leaf}.py')
    dataset = DATASETS.build({**config.train_dataloader.dataset, 'filter_cfg': dict(filter_empty_gt=True)})
    size = config.test_dataloader.dataset.pipeline[1].scale[0]
    for _ in range(3):
        item = dataset[0]
        height, width = item['inputs'].shape[1:]
        assert height <= size and width <= size
        assert ('masks' in item['data_samples'].gt_instances) == ('lvis' in leaf)
