"""A tiny OV-DQUO and its inputs, for the tests of this folder."""
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config, ConfigDict
from mmengine.structures import InstanceData

import rsc_mm.models.detectors  # noqa: F401  registers the parts
from rsc_mm.registry import MODELS
from tests.test_tools.common import REPOSITORY
from tests.towers import GOLDEN_ARCH, randomize

from .tiny import BASE, CLASSES, embeddings


def tiny_config(**head: object) -> ConfigDict:
    """The model of configs/_base_/models/ov_dquo_vitb16.py with a tower of width 48 and a transformer of width 32."""
    model = Config.fromfile(REPOSITORY / 'configs/_base_/models/ov_dquo_vitb16.py').model
    model.data_preprocessor.pad_size_divisor = 32
    model.backbone.update(arch=dict(GOLDEN_ARCH), out_indices=(1, 2, 3), frozen_stages=4, init_cfg=None)
    model.neck.update(in_channels=48, out_channels=32, norm_groups=4)
    for coder in (model.encoder, model.decoder):
        coder.num_layers = 2
        for part in coder.layer_cfg.values():
            part.embed_dims = 32
        coder.layer_cfg.ffn_cfg.feedforward_channels = 64
    model.positional_encoding.num_feats = 16
    model.num_queries = 20
    model.dn_cfg.group_cfg.num_dn_queries = 8
    model.bbox_head.update({**dict(classes=CLASSES, base_classes=BASE, class_embeddings=embeddings(), text_channels=24,
                                   embed_dims=32), **head})
    return model


def tiny_ov_dquo(seed: int = 0, **head: object) -> torch.nn.Module:
    """A random detector, in training mode."""
    torch.manual_seed(seed)
    model = MODELS.build(tiny_config(**head))
    model.init_weights()
    randomize(model.backbone, seed)
    return model.train()


def batch(model: torch.nn.Module, sizes: list[tuple[int, int]], labels: list[list[int]], training: bool = True) -> dict:
    """Preprocessed random images of the given (height, width) with objects of the given labels, -1 for unknown ones."""
    generator = torch.Generator().manual_seed(1)
    images, samples = [], []
    for size, numbers in zip(sizes, labels):
        images.append(torch.randint(0, 256, (3, *size), generator=generator, dtype=torch.uint8))
        corner = torch.rand(len(numbers), 2, generator=generator) * torch.tensor([size[1] - 24., size[0] - 24.])
        numbers = torch.tensor(numbers, dtype=torch.long)
        sample = DetDataSample(metainfo=dict(img_shape=size, ori_shape=size, scale_factor=(1., 1.)))
        sample.gt_instances = InstanceData(
            bboxes=torch.cat([corner, corner + 24], dim=1), labels=numbers,
            weights=torch.where(numbers < 0, 0.25, 1.))
        samples.append(sample)
    return model.data_preprocessor(dict(inputs=images, data_samples=samples), training)
