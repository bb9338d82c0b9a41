"""Stock detectors of mmdet on our backbone: the three configurations of projects/dropin_mmdet."""
import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope

from rsc_mm.utils.checkpoint import export_state_dict
from tests.test_tools.common import REPOSITORY
from tests.towers import GOLDEN_ARCH, tiny_eva

pytest.importorskip('mmcv.ops', reason="needs mmcv's operators")
pytest.importorskip('mmdet', reason='needs mmdet')

# mmdet's and mmcv's own, about NumPy 2, torch.meshgrid and arguments that their stock configurations still use.
pytestmark = [pytest.mark.filterwarnings('ignore::DeprecationWarning'),
              pytest.mark.filterwarnings('ignore:torch.meshgrid:UserWarning'),
              pytest.mark.filterwarnings('ignore:DeprecationWarning:UserWarning')]
PROJECT = REPOSITORY / 'projects' / 'dropin_mmdet'
NAMES = ['mask_rcnn', 'atss', 'dino']
COCO_MINI = Path(os.environ.get('RSC_MM_COCO_MINI', REPOSITORY.parent / 'shared' / 'coco_mini'))
# Fewer layers, proposals and queries than stock, so that a step takes a second on one core.
SMALLER = {
    'mask_rcnn': {'model.roi_head.bbox_head.fc_out_channels': 64, 'model.train_cfg.rpn_proposal.max_per_img': 30,
                  'model.roi_head.mask_head.num_convs': 1, 'model.test_cfg.rpn.max_per_img': 30,
                  'model.test_cfg.rcnn.max_per_img': 10},
    'atss': {'model.bbox_head.stacked_convs': 1},
    'dino': {'model.num_queries': 30, 'model.encoder.num_layers': 1, 'model.decoder.num_layers': 2,
             'model.dn_cfg.group_cfg.num_dn_queries': 10},
}


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A tiny tower's weights, as tools/converters/publish_backbone.py writes them for init_cfg."""
    path = tmp_path / 'tower.pth'
    torch.save(export_state_dict(tiny_eva(), 'ours'), path)
    return path


def small(name: str, weights: Path) -> Config:
    """The configuration with a tiny tower of depth 4 and width 48, and small images."""
    config = Config.fromfile(PROJECT / f'{name}_vitb16.py')
    indices = {3: (1, 2, 3), 4: (0, 1, 2, 3)}[len(config.model.backbone.out_indices)]
    neck = {'model.neck.in_channels': [48] * 3 if name == 'dino' else 48}
    config.merge_from_dict({'model.backbone.out_indices': indices, 'model.backbone.frozen_stages': 4, **neck,
                            'model.backbone.init_cfg.checkpoint': str(weights), **SMALLER[name]})
    config.model.backbone.arch = GOLDEN_ARCH
    return config


def build(config: Config) -> torch.nn.Module:
    from mmdet.registry import MODELS
    from mmdet.utils import register_all_modules
    register_all_modules(init_default_scope=False)
    model = MODELS.build(config.model)
    model.init_weights()
    return model


def batches(config: Config) -> list:
    """Pairs of real images, at most 128 px, through the stock pipeline without its random resizing."""
    from mmdet.datasets import CocoDataset
    from mmengine.dataset import pseudo_collate
    with_mask = config.model.type == 'MaskRCNN'
    pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', with_bbox=True, with_mask=with_mask),
                dict(type='Resize', scale=(128, 128), keep_ratio=True), dict(type='PackDetInputs')]
    data = CocoDataset(data_root=str(COCO_MINI), ann_file='annotations/instances_train2017.json',
                       data_prefix=dict(img='train2017/'), filter_cfg=dict(filter_empty_gt=True, min_size=32),
                       pipeline=pipeline)
    return [pseudo_collate([data[2 * i], data[2 * i + 1]]) for i in range(2)]


@pytest.mark.parametrize('name', NAMES)
def test_backbone_neck_and_colours_are_all_that_changes(name):
    config = Config.fromfile(PROJECT / f'{name}_vitb16.py')
    stock = re.search("_base_ = 'mmdet::(.+)'", (PROJECT / f'{name}_vitb16.py').read_text())[1]
    import mmdet
    stock = Config.fromfile(Path(mmdet.__file__).parent / '.mim' / 'configs' / stock)
    allowed = {'backbone', 'neck', 'data_preprocessor'} | ({'bbox_head'} if name == 'atss' else set())
    plain, plain_stock = (without_scope(c.model.to_dict()) for c in (config, stock))
    assert {key for key in plain | plain_stock if plain.get(key) != plain_stock.get(key)} == allowed
    if name == 'atss':
        head, stock_head = plain['bbox_head'], plain_stock['bbox_head']
        assert head.pop('anchor_generator') == {**stock_head.pop('anchor_generator'), 'strides': [4, 8, 16, 32, 64]}
        assert head == stock_head


def without_scope(part: object) -> object:
    if isinstance(part, dict):
        return {key: without_scope(value) for key, value in part.items() if key != '_scope_'}
    return [without_scope(value) for value in part] if isinstance(part, (list, tuple)) else part


@pytest.mark.parametrize('name', NAMES)
def test_the_page_and_the_header_name_the_configuration(name):
    path = PROJECT / f'{name}_vitb16.py'
    text = path.read_text()
    assert f'# Command: python tools/train.py projects/dropin_mmdet/{name}_vitb16.py' in text
    assert 'work_dirs/r_sc_clipself_vitb16.pth' in text
    assert '# Measured here: ' in text and len(text.splitlines()) <= 30
    assert f'`{name}_vitb16.py`' in (PROJECT / 'README.md').read_text()


@pytest.mark.skipif(not COCO_MINI.is_dir(), reason='real COCO images are not at hand')
@pytest.mark.parametrize('name', NAMES)
def test_trains_and_detects_on_real_images(name, weights):
    torch.manual_seed(0)
    np.random.seed(0)
    config = small(name, weights)
    with DefaultScope.overwrite_default_scope('mmdet'):
        model, data = build(config), batches(config)
        tower = {key: value.clone() for key, value in model.backbone.state_dict().items()}
        for key, value in tiny_eva().state_dict().items():
            assert torch.equal(tower[key], value)  # init_cfg was read
        model.train()
        assert not model.backbone.training
        optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3)
        losses = []
        for step in range(8):
            inputs = model.data_preprocessor(data[step % 2], training=True)
            loss, _ = model.parse_losses(model(**inputs, mode='loss'))
            optimizer.zero_grad()
            loss.backward()
            unused = [key for key, p in model.named_parameters() if p.requires_grad and p.grad is None]
            assert not unused or name == 'dino', unused  # for DDP
            optimizer.step()
            losses.append(loss.item())
        assert np.isfinite(losses).all() and sum(losses[-2:]) < sum(losses[:2])
        assert all(torch.equal(tower[key], value) for key, value in model.backbone.state_dict().items())
        with torch.no_grad():
            predictions = model.eval().test_step(data[0])
    for sample in predictions:
        height, width = sample.ori_shape
        boxes = sample.pred_instances.bboxes
        assert torch.isfinite(boxes).all() and (boxes >= -1e-3).all()
        assert (boxes[:, 2::2] <= width + 1e-2).all() and (boxes[:, 3::2] <= height + 1e-2).all()
