"""The CC3M configurations train on a folder of images and nothing else."""
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.runner import Runner

from tests.test_datasets.toy import save_image
from tests.test_tools.common import REPOSITORY

NAMES = ['clipself/clipself_vitb16_cc3m', 'clipself/clipself_vitl14_cc3m', 'rsc/refiner_vitb16_cc3m',
         'rsc/r_sc_clipself_vitb16_cc3m']
TINY = dict(img_size=64, patch_size=8, embed_dim=192, depth=6, num_heads=3, num_classes=128, ref_feat_shape=(8, 8))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three images in subfolders; no COCO anywhere."""
    for i in range(3):
        save_image(tmp_path / 'images' / f'{i:05d}' / 'a.jpg', seed=i)
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.setenv('CC3M_ROOT', str(tmp_path / 'images'))
    monkeypatch.setenv('COCO_ROOT', str(tmp_path / 'nowhere'))
    return tmp_path


@pytest.mark.parametrize('name', NAMES)
def test_configuration_reads_the_folder_alone(folder: Path, name: str) -> None:
    config = Config.fromfile(f'configs/{name}.py')
    assert 'nowhere' not in config.pretty_text and config.train_dataloader.dataset.data_root == str(folder / 'images')
    assert [config.get(f'{part}_{kind}') for part in ('val', 'test') for kind in ('dataloader', 'cfg', 'evaluator')] \
        == [None] * 6


def test_training_on_a_folder(folder: Path) -> None:
    config = Config.fromfile(f'configs/{NAMES[0]}.py')
    config.work_dir = str(folder / 'run')
    config.merge_from_dict({
        'model.backbone.init_cfg.checkpoint': 'projects/shapes_clip/shapes_clip.pt', 'param_scheduler': None,
        'model.data_preprocessor': dict(image_size=64, crop_size=64, patch_size=8),
        'train_dataloader.num_workers': 0, 'train_dataloader.persistent_workers': False, 'visualizer': None,
        'train_dataloader.batch_size': 1})
    config.model.backbone.arch = TINY
    runner = Runner.from_cfg(config)
    runner.train()
    assert runner.iter == 3 and (folder / 'run' / 'iter_3.pth').is_file()
