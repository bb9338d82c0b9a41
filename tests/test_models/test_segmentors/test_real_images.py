"""Off-the-shelf segmentation of real COCO images, whose panoptic annotation is turned into labels on the way."""
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


def _known(sample: object, source: str) -> dict:
    """Labels as a prediction: where nothing is annotated any class."""
    labels = getattr(sample, source).data
    return dict(data=torch.where(labels == 255, 0, labels))
