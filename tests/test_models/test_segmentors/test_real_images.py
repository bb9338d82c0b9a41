"""Segmentation of real COCO images, whose panoptic annotation is turned into labels on the way."""
import os
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DefaultScope
from torch.nn import functional as F

from rsc_mm.evaluation import SegmentationMetric
from rsc_mm.registry import DATASETS, MODELS
from tests.test_tools.common import REPOSITORY
from tests.towers import GOLDEN_ARCH, randomize

pytest.importorskip('mmcv._ext', reason="needs mmcv's operators")
pytest.importorskip('mmseg', reason='needs mmseg')
from .tiny import tiny_catseg  # noqa: E402

pytestmark = pytest.mark.slow  # trains, or starts whole programs

COCO_MINI = Path(os.environ.get('RSC_MM_COCO_MINI', REPOSITORY.parent / 'shared' / 'coco_mini'))


@pytest.mark.slow
@pytest.mark.skipif(not COCO_MINI.is_dir(), reason='real COCO images are not at hand')
def test_a_batch_of_photographs_end_to_end():
    config = Config.fromfile(REPOSITORY / 'configs/segmentation/maskclip_vitb16_coco_stuff.py')
    config.model.backbone.update(arch=GOLDEN_ARCH, init_cfg=None)
    vectors = torch.randn(133, 24, generator=torch.Generator().manual_seed(0))
    config.model.update(classes='coco_panoptic', class_embeddings=F.normalize(vectors, dim=1), window=112, stride=112)
    steps = [dict(type='LoadImageFromFile'), dict(type='Resize', scale=(999, 112), keep_ratio=True),
             dict(type='rsc_mm.LoadPanopticLabels'), dict(type='PackSegInputs')]
    with DefaultScope.overwrite_default_scope('mmseg'), torch.no_grad():
        model = MODELS.build(config.model).eval()
        randomize(model.backbone, 0)
        data = DATASETS.build(dict(
            type='rsc_mm.PanopticLabelDataset', data_root=str(COCO_MINI), ann_file='annotations/panoptic_val2017.json',
            data_prefix=dict(img_path='val2017', seg_map_path='annotations/panoptic_val2017'), test_mode=True,
            pipeline=steps))
        samples = model.test_step(pseudo_collate([data[i] for i in range(4)]))
    assert len({sample.ori_shape for sample in samples}) > 1 and data.metainfo['classes'] == model.classes
    results = {}
    for source in ('pred_sem_seg', 'gt_sem_seg'):
        metric = SegmentationMetric(per_class=False)
        metric.dataset_meta = data.metainfo
        metric.process(None, [{**sample.to_dict(), 'pred_sem_seg': _known(sample, source)} for sample in samples])
        results[source] = metric.evaluate(4)
    assert results['gt_sem_seg']['mIoU'] == results['gt_sem_seg']['mAcc'] == 100
    assert 0 <= results['pred_sem_seg']['mIoU'] < 20 and len(samples[0].pred_sem_seg.data.unique()) > 1


@pytest.mark.slow
@pytest.mark.skipif(not COCO_MINI.is_dir(), reason='real COCO images are not at hand')
def test_catseg_trains_on_photographs_and_segments_them():
    """The training pipeline of configs/catseg on crops of 64 px, then the paper's scheme on whole images."""
    steps = Config.fromfile(REPOSITORY / 'configs/_base_/datasets/coco_stuff_ade20k.py').train_pipeline
    steps[1] = dict(type='rsc_mm.LoadPanopticLabels')
    steps[2].scale, steps[3].crop_size = (999, 72), (64, 64)
    model = tiny_catseg(vocabulary=dict(classes='coco_panoptic'), aggregator=dict(pad_len=140),
                        test_cfg=dict(mode='squash', size=(96, 96), crop_size=(64, 64), stride=(32, 32), chunk_size=50))
    source = dict(type='rsc_mm.PanopticLabelDataset', data_root=str(COCO_MINI),
                  ann_file='annotations/panoptic_val2017.json',
                  data_prefix=dict(img_path='val2017', seg_map_path='annotations/panoptic_val2017'))
    with DefaultScope.overwrite_default_scope('mmseg'):
        training = DATASETS.build(dict(source, pipeline=steps))
        tests = DATASETS.build(dict(source, test_mode=True, pipeline=[
            dict(type='LoadImageFromFile'), dict(type='Resize', scale=(999, 96), keep_ratio=True),
            dict(type='PackSegInputs')]))
        data = pseudo_collate([training[i] for i in range(4)])
    assert training.metainfo['classes'] == model.classes
    optimizer = torch.optim.AdamW([p for p in model.train().parameters() if p.requires_grad], lr=5e-3)
    losses = []
    for _ in range(4):
        batch = model.data_preprocessor(data, True)
        loss = sum(model(**batch, mode='loss').values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
    with torch.no_grad():
        samples = model.eval().test_step(pseudo_collate([tests[i] for i in range(3)]))
    assert len({sample.ori_shape for sample in samples}) > 1
    for sample in samples:
        assert sample.pred_sem_seg.shape == sample.ori_shape
        assert 0 <= sample.pred_sem_seg.data.min() <= sample.pred_sem_seg.data.max() < 133
        assert ((sample.pred_score.data >= 0) & (sample.pred_score.data <= 1)).all()


def _known(sample: object, source: str) -> dict:
    """Labels as a prediction: where nothing is annotated any class."""
    labels = getattr(sample, source).data
    return dict(data=torch.where(labels == 255, 0, labels))
