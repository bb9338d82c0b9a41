"""Pseudo boxes through mmdet's data sets and transforms, and real images through a whole step."""
import copy
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DefaultScope
from PIL import Image

pytest.importorskip('mmcv.ops', reason="needs mmcv's operators")
pytest.importorskip('mmdet', reason='needs mmdet')
from mmdet.registry import DATASETS  # noqa: E402

import rsc_mm.datasets.detection  # noqa: E402, F401  registers the data sets
from rsc_mm.models.text import read_class_names  # noqa: E402
from tests.test_tools.common import REPOSITORY  # noqa: E402

COCO_MINI = Path(os.environ.get('RSC_MM_COCO_MINI', REPOSITORY.parent / 'shared' / 'coco_mini'))
SIDE = 64


@pytest.fixture(autouse=True)
def mmdet_scope():
    with DefaultScope.overwrite_default_scope('mmdet'):
        yield


def write_world(root, unknown):
    """One image whose squares have the colour of their number, two annotated ones and the pseudo boxes of (2, 4)."""
    pixels = np.zeros((SIDE, SIDE, 3), np.uint8)
    boxes = [[x, y, 12, 12] for y in (4, 36) for x in (2, 24, 46)]
    for i, (x, y, w, h) in enumerate(boxes):
        pixels[y:y + h, x:x + w] = 40 + 30 * i
    Image.fromarray(pixels).save(root / '1.png')
    rows = [dict(id=i, image_id=1, category_id=1 + i, bbox=boxes[i], area=144, iscrowd=0) for i in (0, 1)]
    categories = [dict(id=i, name=name) for i, name in ((1, 'a'), (2, 'b'))]
    image = dict(id=1, file_name='1.png', height=SIDE, width=SIDE)
    (root / 'ann.json').write_text(json.dumps(dict(images=[image], annotations=rows, categories=categories)))
    entries = [dict(image_id=1, bbox=boxes[i], weight=(40 + 30 * i) / 255, pseudo=1, category_id=-1)
               for i in (2, 3, 4, 5)]
    (root / 'unknown.json').write_text(json.dumps(unknown if unknown is not None else entries))


def build(root, pipeline, unknown=None, **fields):
    write_world(root, unknown)
    return DATASETS.build(dict(
        type='rsc_mm.UnknownObjectsCocoDataset', data_root=str(root), ann_file='ann.json',
        data_prefix=dict(img=''), unknown_objects='unknown.json', metainfo=dict(classes=('a', 'b')), pipeline=pipeline,
        **fields))


def test_boxes_weights_and_flags_stay_together_through_the_training_pipeline(tmp_path):
    """The weight of a pseudo box is the colour of its square, wherever flips and crops have moved it."""
    steps = Config.fromfile(REPOSITORY / 'configs/_base_/datasets/ov_coco_unknown_1024.py').train_pipeline
    whole, (small, crop, again) = steps[3].transforms[0][0], steps[3].transforms[1]
    whole.scale = again.scale = (96, 96)
    small.scales, crop.crop_size = [(64, 999)], (30, 60)
    data = build(tmp_path, steps)
    counts = set()
    for seed in range(30):
        np.random.seed(seed)
        packed = data[0]
        objects, pixels = packed['data_samples'].gt_instances, packed['inputs'][0].float()
        for box, label, weight in zip(objects.bboxes.tensor, objects.labels.tolist(), objects.weights):
            assert (label == -1) == (weight < 1) and label in (-1, 0, 1)
            x1, y1, x2, y2 = box.tolist()
            if min(x2 - x1, y2 - y1) > 4:
                colour = pixels[round((y1 + y2) / 2 - 0.5), round((x1 + x2) / 2 - 0.5)]
                assert abs(colour - (weight * 255 if label < 0 else 40 + 30 * label)) < 8
        counts.add(len(objects))
    assert len(counts) > 2 and max(counts) == 6


def test_the_data_set_without_pipeline(tmp_path):
    border = [dict(image_id=1, bbox=[-5, 50, 20, 40], weight=0.5), dict(image_id=1, bbox=[70, 0, 5, 5]),
              dict(image_id=4, bbox=[0, 0, 9, 9])]
    data = build(tmp_path, [], border)
    info = data.get_data_info(0)
    assert [(row['bbox'], row['bbox_label']) for row in info['instances'][2:]] == [([0, 50, 15, 64], -1)]
    assert info['unknown_weights'] == [0.5] and data.get_cat_ids(0) == [0, 1]
    with pytest.raises(ValueError, match=r'found no entry of an image in .*ann.json.* has the image_id 4'):
        build(tmp_path, [], border[2:])
    with pytest.raises(FileNotFoundError, match='check unknown_objects'):
        DATASETS.build(dict(type='rsc_mm.UnknownObjectsCocoDataset', data_root=str(tmp_path), ann_file='ann.json',
                            data_prefix=dict(img=''), unknown_objects='no.json', metainfo=dict(classes=('a', 'b')),
                            pipeline=[]))


@pytest.mark.slow
@pytest.mark.filterwarnings('ignore:torch.meshgrid:UserWarning')
@pytest.mark.skipif(not COCO_MINI.is_dir(), reason='real COCO images are not at hand')
def test_photographs_take_training_steps_and_a_test_pass(tmp_path):
    """The config of OV-COCO B/16 at 96 px with a tiny random tower; boxes of other classes are the unknown objects."""
    from tests.test_models.test_detectors.tiny import embeddings
    from tests.test_models.test_detectors.tiny_ov_dquo import tiny_ov_dquo
    config = Config.fromfile(REPOSITORY / 'configs/ov_dquo/ov_dquo_vitb16_ovcoco_clipself_patches.py')
    content = json.loads((COCO_MINI / 'annotations/instances_val2017.json').read_text())
    names = read_class_names('ov_coco')
    ids = {row['id'] for row in content['categories'] if row['name'] in names}
    entries = [dict(image_id=row['image_id'], bbox=row['bbox'], weight=0.5, pseudo=1, category_id=-1)
               for row in content['annotations'] if row['category_id'] not in ids]
    content['categories'] = [row for row in content['categories'] if row['id'] in ids]
    content['annotations'] = [row for row in content['annotations'] if row['category_id'] in ids]
    for name, part in (('ann.json', content), ('unknown.json', entries)):
        (tmp_path / name).write_text(json.dumps(part))
    sets = []
    for part in (config.train_dataloader.dataset, config.test_dataloader.dataset):
        part.update(data_root=None, ann_file=str(tmp_path / 'ann.json'),
                    data_prefix=dict(img=str(COCO_MINI / 'val2017')))
        for step in part.pipeline:
            if step.type == 'Resize':
                step.scale = (96, 96)
            if step.type == 'RandomChoice':
                step.transforms[0][0].scale = step.transforms[1][2].scale = (96, 96)
        if 'unknown_objects' in part:
            part.unknown_objects = str(tmp_path / 'unknown.json')
        sets.append(DATASETS.build(part))
    torch.manual_seed(0)
    np.random.seed(0)
    vectors = embeddings(66, seed=1)
    model = tiny_ov_dquo(classes='ov_coco', base_classes='coco_base', class_embeddings=vectors)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3)
    images = [sets[0][i] for i in range(4)]
    before = model.query_embedding.weight.detach().clone()
    assert any((part['data_samples'].gt_instances.labels < 0).any() for part in images)
    for _ in range(4):
        data = model.data_preprocessor(pseudo_collate(copy.deepcopy(images)), True)
        total, _ = model.parse_losses(model(**data, mode='loss'))
        optimizer.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.1)
        optimizer.step()
        assert total.isfinite() and total > 0
    assert not torch.equal(model.query_embedding.weight, before)
    with torch.no_grad():
        found = model.eval().test_step(pseudo_collate([sets[1][i] for i in range(2)]))
    for sample in found:
        height, width = sample.ori_shape
        boxes = sample.pred_instances.bboxes
        assert len(boxes) and (boxes <= torch.tensor([width, height] * 2) + 0.01).all() and boxes.max() > 96
