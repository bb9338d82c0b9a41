"""A stock segmentor of mmseg on our backbone: the configuration of projects/dropin_mmseg."""
import os
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
pytest.importorskip('mmseg', reason='needs mmseg')

# mmseg's own, about arguments that its stock configurations leave out.
pytestmark = pytest.mark.filterwarnings('ignore:Default ``avg_non_ignore`` is False:UserWarning')
PROJECT = REPOSITORY / 'projects' / 'dropin_mmseg'
CONFIG = PROJECT / 'upernet_vitb16.py'
STOCK = 'vit/vit_vit-b16_mln_upernet_8xb2-80k_ade20k-512x512.py'
COCO_MINI = Path(os.environ.get('RSC_MM_COCO_MINI', REPOSITORY.parent / 'shared' / 'coco_mini'))


def small(weights: Path) -> Config:
    """The configuration with a tiny tower of depth 4 and width 48, narrow heads and 133 classes."""
    config = Config.fromfile(CONFIG)
    norm = dict(type='BN', requires_grad=True)
    config.merge_from_dict({
        'model.backbone.out_indices': (0, 1, 2, 3), 'model.backbone.frozen_stages': 4,
        'model.backbone.init_cfg.checkpoint': str(weights), 'model.data_preprocessor.size': (64, 64),
        'model.neck.in_channels': [48] * 4, 'model.neck.out_channels': 16, 'model.decode_head.in_channels': [16] * 4,
        'model.decode_head.channels': 16, 'model.decode_head.num_classes': 133, 'model.decode_head.norm_cfg': norm,
        'model.auxiliary_head.in_channels': 16, 'model.auxiliary_head.channels': 16,
        'model.auxiliary_head.num_classes': 133, 'model.auxiliary_head.norm_cfg': norm})
    config.model.backbone.arch = GOLDEN_ARCH
    return config


def test_backbone_and_colours_are_all_that_changes():
    import mmseg
    stock = Config.fromfile(Path(mmseg.__file__).parent / '.mim' / 'configs' / STOCK).to_dict()
    ours = Config.fromfile(CONFIG).to_dict()
    changed = {key for key in stock['model'] | ours['model'] if stock['model'].get(key) != ours['model'].get(key)}
    assert changed == {'backbone', 'data_preprocessor', 'pretrained'}
    assert {key for key in stock | ours if stock.get(key) != ours.get(key)} == {'model', 'custom_imports', 'root'}


def test_the_page_and_the_header_name_the_configuration():
    text, page = CONFIG.read_text(), (PROJECT / 'README.md').read_text()
    assert '# Command: python tools/train.py projects/dropin_mmseg/upernet_vitb16.py' in text
    assert '# Measured here: ' in text and len(text.splitlines()) <= 30
    assert f'`{CONFIG.name}`' in page and STOCK in page and STOCK in text


@pytest.mark.slow
@pytest.mark.skipif(not COCO_MINI.is_dir(), reason='real COCO images are not at hand')
def test_trains_and_segments_real_images(tmp_path):
    from mmengine.dataset import pseudo_collate
    from mmseg.registry import DATASETS, MODELS

    import rsc_mm.datasets.segmentation  # noqa: F401  registers the data set
    torch.manual_seed(0)
    np.random.seed(0)
    torch.save(export_state_dict(tiny_eva(), 'ours'), tmp_path / 'tower.pth')
    config = small(tmp_path / 'tower.pth')
    with DefaultScope.overwrite_default_scope('mmseg'):
        model = MODELS.build(config.model)
        model.init_weights()
        data = DATASETS.build(dict(
            type='rsc_mm.PanopticLabelDataset', data_root=str(COCO_MINI),
            ann_file='annotations/panoptic_train2017.json',
            data_prefix=dict(img_path='train2017', seg_map_path='annotations/panoptic_train2017'),
            pipeline=[dict(type='LoadImageFromFile'), dict(type='rsc_mm.LoadPanopticLabels'),
                      dict(type='Resize', scale=(64, 64), keep_ratio=True), dict(type='PackSegInputs')]))
        batches = [pseudo_collate([data[2 * i], data[2 * i + 1]]) for i in range(2)]
        tower = {key: value.clone() for key, value in model.backbone.state_dict().items()}
        for key, value in tiny_eva().state_dict().items():
            assert torch.equal(tower[key], value)  # init_cfg was read
        model.train()
        optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=3e-3)
        losses = []
        for step in range(6):
            inputs = model.data_preprocessor(batches[step % 2], training=True)
            loss, _ = model.parse_losses(model(**inputs, mode='loss'))
            optimizer.zero_grad()
            loss.backward()
            assert not [key for key, p in model.named_parameters() if p.requires_grad and p.grad is None]
            optimizer.step()
            losses.append(loss.item())
        assert np.isfinite(losses).all() and sum(losses[-2:]) < sum(losses[:2])
        assert all(torch.equal(tower[key], value) for key, value in model.backbone.state_dict().items())
        with torch.no_grad():
            image = data[0]
            found = model.eval().test_step(dict(inputs=[image['inputs']], data_samples=[image['data_samples']]))[0]
    assert found.pred_sem_seg.data.shape[1:] == found.ori_shape
