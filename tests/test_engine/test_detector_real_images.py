"""F-ViT of configs/fvit on real COCO images, with a tiny random tower at 320 px: it trains, and is evaluated."""
import importlib.util
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from torch.nn import functional as F

from rsc_mm.models.text import read_class_names
from rsc_mm.utils.checkpoint import export_state_dict
from tests.test_tools.common import REPOSITORY
from tests.towers import GOLDEN_ARCH, tiny_eva

pytest.importorskip('mmdet', reason='needs mmdet')
from mmdet.registry import DATASETS, METRICS  # noqa: E402
from pycocotools.coco import COCO  # noqa: E402  comes with mmdet
from pycocotools.cocoeval import COCOeval  # noqa: E402

COCO_MINI = Path(os.environ.get('RSC_MM_COCO_MINI', REPOSITORY.parent / 'shared' / 'coco_mini'))
pytestmark = pytest.mark.skipif(not COCO_MINI.is_dir(), reason='real COCO images are not at hand')
SIDE = 320


class Losses(Hook):
    """Keeps the loss of every step."""

    def __init__(self) -> None:
        self.values = []

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict, outputs: dict) -> None:
        self.values.append(outputs['loss'].item())


@pytest.fixture(scope='module')
def coco(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A COCO folder of links to the images, and the files that tools/data/prepare_ov_coco.py writes."""
    root = tmp_path_factory.mktemp('coco')
    (root / 'annotations').mkdir()
    for split in ('train2017', 'val2017'):
        (root / split).symlink_to(COCO_MINI / split)
        name = f'annotations/instances_{split}.json'
        (root / name).symlink_to(COCO_MINI / name)
    spec = importlib.util.spec_from_file_location('prepare', REPOSITORY / 'tools' / 'data' / 'prepare_ov_coco.py')
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    classes, base, novel = (read_class_names(name) for name in ('ov_coco', 'coco_base', 'coco_novel'))
    for split, shown in (('train', base), ('val', classes)):
        tool.make_split(root / 'annotations', split, classes, shown, novel)
    return root


def configure(coco: Path, work_dir: Path, **fields: object) -> Config:
    """The leaf of ViT-B/16 with a random tower of width 48 and random class embeddings, both read from files."""
    tower, embeddings = work_dir / 'tower.pth', work_dir / 'embeddings.pt'
    torch.save(export_state_dict(tiny_eva(), 'ours'), tower)
    names = [*read_class_names('ov_coco'), 'background']
    rows = F.normalize(torch.randn(len(names), 24, generator=torch.Generator().manual_seed(0)), dim=1)
    torch.save(dict(zip(names, rows)), embeddings)
    config = Config.fromfile(REPOSITORY / 'configs' / 'fvit' / 'fvit_vitb16_ovcoco.py')
    config.model.backbone.arch = dict(GOLDEN_ARCH)
    config.work_dir, config.param_scheduler, config.auto_scale_lr = str(work_dir), None, None
    config.experiment_name = config.visualizer.name = f'real_{work_dir.name}'  # MMEngine keeps them by name
    config.merge_from_dict({
        'model.data_preprocessor.pad_size_divisor': SIDE, 'model.backbone.init_cfg.checkpoint': str(tower),
        'model.backbone.out_indices': (0, 1, 2, 3), 'model.backbone.frozen_stages': 4, 'model.neck.in_channels': 48,
        'model.neck.out_channels': 16, 'model.rpn_head.in_channels': 16, 'model.rpn_head.feat_channels': 16,
        'model.roi_head.bbox_roi_extractor.out_channels': 16, 'model.roi_head.bbox_head.in_channels': 16,
        'model.roi_head.bbox_head.conv_out_channels': 16, 'model.roi_head.bbox_head.fc_out_channels': 24,
        'model.roi_head.bbox_head.class_embeddings': str(embeddings), 'model.train_cfg.rcnn.sampler.num': 64,
        'model.train_cfg.rpn_proposal': dict(nms_pre=300, max_per_img=100),
        'model.test_cfg.rpn': dict(nms_pre=300, max_per_img=100),
        'train_cfg.max_epochs': 2, 'train_dataloader.batch_size': 4, 'val_cfg': None, 'val_dataloader': None,
        'val_evaluator': None, 'optim_wrapper.optimizer.lr': 1e-3, 'optim_wrapper.type': 'OptimWrapper',
        'test_evaluator.outfile_prefix': str(work_dir / 'found'), 'test_dataloader.persistent_workers': False,
        'train_dataloader.num_workers': 0, 'test_dataloader.num_workers': 0, **fields})
    for step in (*config.train_dataloader.dataset.pipeline, *config.test_dataloader.dataset.pipeline):
        step.update({key: (SIDE, SIDE) for key in ('scale', 'crop_size') if key in step})
    return config


@pytest.fixture(scope='module')
def run(coco: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[float], dict, str]:
    """Work directory, losses, metrics and log of a training of two epochs with its test."""
    work_dir, losses = tmp_path_factory.mktemp('fvit'), Losses()
    with pytest.MonkeyPatch.context() as patch, DefaultScope.overwrite_default_scope('mmdet'):
        patch.setenv('COCO_ROOT', str(coco))
        runner = Runner.from_cfg(configure(coco, work_dir))
        runner.register_hook(losses)
        runner.train()
        metrics = runner.test()
    log, = work_dir.glob('*/*.log')
    return work_dir, losses.values, metrics, log.read_text()


def test_the_loss_falls_on_base_objects(run, coco):
    work_dir, losses, _, _ = run
    images = json.loads((coco / 'annotations' / 'instances_train2017_base.json').read_text())['images']
    assert len(losses) == 2 * -(-len(images) // 4) and np.isfinite(losses).all()
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])
    weights = torch.load(work_dir / 'epoch_2.pth', weights_only=False)['state_dict']
    assert all(torch.equal(weights[f'backbone.{key}'], value) for key, value in tiny_eva().state_dict().items())


def test_evaluation_prints_base_novel_and_all(run):
    _, _, metrics, log = run
    for name in ('coco/base_ap50', 'coco/novel_ap50', 'coco/all_ap50', 'coco/bbox_mAP_50'):
        assert 0 <= metrics[name] <= 100 and f'{name}: {metrics[name]:.4f}' in log


def test_pycocotools_takes_the_results(run, coco):
    work_dir, _, metrics, _ = run
    truth = COCO(str(coco / 'annotations' / 'instances_val2017_ov.json'))
    found = truth.loadRes(str(work_dir / 'found.bbox.json'))
    evaluation = COCOeval(truth, found, 'bbox')
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    assert evaluation.stats[1] == pytest.approx(metrics['coco/bbox_mAP_50'] / 100, abs=6e-4)  # mmdet rounds
    assert 100 * evaluation.stats[1] == pytest.approx(metrics['coco/all_ap50'], abs=1e-6)
    assert found.anns and {row['image_id'] for row in found.anns.values()} <= set(truth.imgs)
    for row in found.anns.values():
        (x, y, width, height), image = row['bbox'], truth.imgs[row['image_id']]
        assert x >= 0 and y >= 0 and width > 0 and height > 0
        assert x + width <= image['width'] + 1e-2 and y + height <= image['height'] + 1e-2


@pytest.mark.parametrize('part, expected', [
    (None, (100, 100)), ('novel_classes', (0, 100)), ('base_classes', (100, 0))])
def test_the_annotations_as_detections(coco, tmp_path, monkeypatch, part, expected):
    """All, or those of one part of the classes: AP50 100 where they are given and 0 elsewhere."""
    monkeypatch.setenv('COCO_ROOT', str(coco))
    with DefaultScope.overwrite_default_scope('mmdet'):
        config = configure(coco, tmp_path)
        data, metric = DATASETS.build(config.test_dataloader.dataset), METRICS.build(config.test_evaluator)
    metric.dataset_meta = data.metainfo
    kept = torch.tensor([part is None or name in data.metainfo[part] for name in data.metainfo['classes']])
    for item in data:
        sample = item['data_samples']
        sample.pred_instances = sample.gt_instances[kept[sample.gt_instances.labels]]
        sample.pred_instances.scores = torch.ones(len(sample.pred_instances))
        sample.pred_instances.bboxes = sample.pred_instances.bboxes.tensor
        metric.process({}, [sample.to_dict()])
    metrics = metric.evaluate(len(data))
    assert (metrics['coco/base_ap50'], metrics['coco/novel_ap50']) == pytest.approx(expected)
