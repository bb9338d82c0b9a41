"""A tiny F-ViT and its inputs, for the tests of this folder."""
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.config import Config, ConfigDict
from mmengine.structures import InstanceData
from torch.nn import functional as F

import rsc_mm.models.detectors  # noqa: F401  registers the parts
from rsc_mm.registry import MODELS
from tests.test_tools.common import REPOSITORY
from tests.towers import GOLDEN_ARCH, randomize

CLASSES = ['cat', 'dog', 'red umbrella', 'kite']
BASE = ['cat', 'kite']
MASK_HEAD = dict(
    mask_roi_extractor=dict(
        type='rsc_mm.Float32RoIExtractor', roi_layer=dict(type='RoIAlign', output_size=14, sampling_ratio=0),
        out_channels=8, featmap_strides=[4, 8, 16, 32]),
    mask_head=dict(
        type='FCNMaskHead', num_convs=1, in_channels=8, conv_out_channels=8, class_agnostic=True,
        norm_cfg=dict(type='BN')))


def embeddings(rows: int = 5, seed: int = 0) -> torch.Tensor:
    """Random unit rows (rows, 24)."""
    return F.normalize(torch.randn(rows, 24, generator=torch.Generator().manual_seed(seed)), dim=1)


def tiny_config(masks: bool = False, pad: int = 32) -> ConfigDict:
    """The model of configs/_base_/models/fvit_vitb16.py with a tower of width 48 and heads of 8 channels."""
    model = Config.fromfile(REPOSITORY / 'configs/_base_/models/fvit_vitb16.py').model
    model.data_preprocessor.pad_size_divisor = pad
    model.backbone.update(arch=dict(GOLDEN_ARCH), out_indices=(0, 1, 2, 3), frozen_stages=4, init_cfg=None)
    model.neck.update(in_channels=48, out_channels=8)
    model.rpn_head.update(in_channels=8, feat_channels=8)
    model.roi_head.bbox_roi_extractor.out_channels = 8
    model.roi_head.bbox_head.update(classes=CLASSES, base_classes=BASE, class_embeddings=embeddings(), in_channels=8,
                                    conv_out_channels=8, fc_out_channels=24)
    model.train_cfg.rpn_proposal.max_per_img = model.test_cfg.rpn.max_per_img = 30
    model.train_cfg.rcnn.sampler.num = 16
    if masks:
        model.rpn_head.norm_cfg = dict(type='BN')
        model.roi_head.update(MASK_HEAD)
        model.train_cfg.rcnn.mask_size = 28
        model.test_cfg.rcnn.mask_thr_binary = 0.5
    return model


def tiny_fvit(seed: int = 0, **kwargs: object) -> torch.nn.Module:
    """A random detector, in training mode."""
    torch.manual_seed(seed)
    model = MODELS.build(tiny_config(**kwargs))
    model.init_weights()
    randomize(model.backbone, seed)
    return model.train()


def batch(model: torch.nn.Module, sizes: list[tuple[int, int]], labels: list[list[int]], training: bool = True) -> dict:
    """Preprocessed random images of the given (height, width) with objects of the given labels."""
    generator = torch.Generator().manual_seed(1)
    images, samples = [], []
    for size, numbers in zip(sizes, labels):
        images.append(torch.randint(0, 256, (3, *size), generator=generator, dtype=torch.uint8))
        corner = torch.rand(len(numbers), 2, generator=generator) * torch.tensor([size[1] - 24., size[0] - 24.])
        sample = DetDataSample(metainfo=dict(img_shape=size, ori_shape=size, scale_factor=(1., 1.)))
        sample.gt_instances = InstanceData(
            bboxes=torch.cat([corner, corner + 24], dim=1), labels=torch.tensor(numbers, dtype=torch.long))
        if model.roi_head.with_mask:
            sample.gt_instances.masks = BitmapMasks(torch.ones(len(numbers), *size, dtype=torch.uint8).numpy(), *size)
        sample.ignored_instances = InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long))
        samples.append(sample)
    return model.data_preprocessor(dict(inputs=images, data_samples=samples), training)
