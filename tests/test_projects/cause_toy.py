"""Small towers, steps and batches for the tests of projects/unsupervised_segmentation."""
import sys
from pathlib import Path

import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from rsc_mm.registry import MODELS
from rsc_mm.utils.checkpoint import export_state_dict
from tests.test_tools.common import REPOSITORY
from tests.towers import GOLDEN_ARCH, tiny_eva

PROJECT = REPOSITORY / 'projects/unsupervised_segmentation'
if str(PROJECT) not in sys.path:  # as for run.py, which stands beside the package
    sys.path.append(str(PROJECT))

import cause  # noqa: E402, F401

HEAD = dict(type='rsc_mm.TransformerHead', num_tokens=16, out_channels=6, hidden_channels=8, dropout=0.)


def save_tower(folder: Path, seed: int = 0) -> str:
    """A random tower of 64 px, 4 x 4 tokens and 24 channels, as a file."""
    path = folder / f'tower_{seed}.pth'
    torch.save(export_state_dict(tiny_eva(seed), 'ours'), path)
    return str(path)


def build(kind: str, tower: str, start: str | None = None, **fields: object) -> torch.nn.Module:
    """A step on a tower file, initialised, in training mode."""
    torch.manual_seed(0)
    preprocessor = dict(
        type='mmseg.SegDataPreProcessor', mean=[100.] * 3, std=[50.] * 3, bgr_to_rgb=True, size=(64, 64))
    step = MODELS.build(dict(
        type=kind, num_codes=5, start=start, data_preprocessor=preprocessor,
        backbone=dict(type='EVACLIPViT', arch=GOLDEN_ARCH, init_cfg=dict(type='Pretrained', checkpoint=tower)),
        **fields))
    step.init_weights()
    return step.train()


def save_step(step: torch.nn.Module, path: Path) -> str:
    """What a step exports, as a file."""
    torch.save({'state_dict': step.exported()}, path)
    return str(path)


def batch(count: int = 4, seed: int = 0) -> tuple[torch.Tensor, list[SegDataSample]]:
    """Random images of 64 px, and labels of three classes with an ignored row."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(count, 3, 64, 64, generator=generator)
    labels = torch.randint(3, (count, 1, 64, 64), generator=generator)
    labels[:, :, 0] = 255
    return images, [SegDataSample(gt_sem_seg=PixelData(data=label)) for label in labels]
