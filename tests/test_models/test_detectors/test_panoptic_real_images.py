"""Panoptic segmentation of real COCO images: training steps on the pipeline of configs/panoptic, and a test pass."""
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.registry import DATASETS
from mmengine.config import Config
from mmengine.dataset import pseudo_collate

import rsc_mm.datasets.panoptic  # noqa: F401  registers the data set
from rsc_mm.evaluation import PanopticMeanIoU, PanopticQuality
from tests.test_tools.common import REPOSITORY

from .tiny_panoptic import tiny_panoptic

COCO_MINI = Path(os.environ.get('RSC_MM_COCO_MINI', REPOSITORY.parent / 'shared' / 'coco_mini'))


@pytest.mark.slow
@pytest.mark.filterwarnings('ignore:torch.meshgrid:UserWarning')
@pytest.mark.skipif(not COCO_MINI.is_dir(), reason='real COCO images are not at hand')
def test_photographs_take_training_steps_and_a_test_pass():
    config = Config.fromfile(REPOSITORY / 'configs/panoptic/panoptic_vitb16.py')
    for step in (*config.train_pipeline, *config.test_pipeline):
        if 'scale' in step:
            step.scale = (96, 96)
        if 'crop_size' in step:
            step.crop_size = (96, 96)
    sets = [DATASETS.build(dict(loader.dataset, data_root=str(COCO_MINI), pipeline=pipeline,
                                ann_file='annotations/panoptic_val2017.json',
                                data_prefix=dict(img_path='val2017', seg_map_path='annotations/panoptic_val2017')))
            for loader, pipeline in ((config.train_dataloader, config.train_pipeline),
                                     (config.test_dataloader, config.test_pipeline))]
    model = tiny_panoptic(classes='coco_panoptic', test_classes=None).train()
    model.semantic_on = True
    assert model.classes == sets[0].metainfo['classes']
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=2e-3)
    np.random.seed(0)
    images, losses = pseudo_collate([sets[0][i] for i in range(4)]), []
    for _ in range(8):
        total, _ = model.parse_losses(model(**model.data_preprocessor(images, True), mode='loss'))
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        losses.append(total.item())
    assert losses[-1] < 0.9 * losses[0], losses
    model.panoptic_head.test_num_things = 80
    with torch.no_grad():
        samples = model.eval().test_step(pseudo_collate([sets[1][i] for i in range(3)]))
    assert len({sample.ori_shape for sample in samples}) > 1
    for metric in (PanopticQuality(per_class=False), PanopticMeanIoU(per_class=False)):
        metric.dataset_meta = sets[1].metainfo
        metric.process(None, [sample.to_dict() for sample in samples])
        assert all(0 <= value <= 100 for value in metric.evaluate(3).values())
