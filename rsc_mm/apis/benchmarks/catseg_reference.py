"""mmsegmentation's own project CAT-Seg in the same turns as ours; nothing of it is in this package."""
import importlib
import sys
from pathlib import Path
from types import ModuleType

import torch
from mmengine.config import ConfigDict
from mmengine.device import get_device
from mmengine.registry import DefaultScope
from mmseg.registry import MODELS
from torch import nn

from rsc_mm.models.segmentors import CATSeg

from .segmentation import TimedPass, random_segmentor

CHANNELS = (256, 512, 1024)
"""Of the first three stages of ResNet-101, whose maps guide the first version of CAT-Seg."""


class ReferenceCase(TimedPass):
    """A test pass of the project's aggregator and head at the sizes of one of our models, with random weights.

    The project is the first version of CAT-Seg: a ResNet-101 beside the tower gives the guidance, and there is no
    padding of the vocabulary and no choice of the 256 best classes. Its CLIP is the same network as ours and needs a
    download, so that here our tower stands in its place. The image is one view for both, and mmseg's own inference
    makes the label map.

    Args:
        folder: projects/CAT-Seg of a checkout of mmsegmentation.
        config: of our model, for tower and sizes.
        classes: number of classes.
        shape: height and width of the image: those that our model brings images to.

    Raises:
        FileNotFoundError: the folder does not hold the project.
        ValueError: the image has another shape.
    """

    def __init__(self, folder: Path, config: str, classes: int, shape: tuple[int, int]) -> None:
        aggregator_class, head_class = project_classes(folder)
        ours = random_segmentor(config, classes)
        if shape != ours.image_size:
            raise ValueError(f'--reference: found --shape {shape[0]} {shape[1]}, expected {config}'
                             f"'s own size, {ours.image_size}: the project sees images at that size alone")
        model = project_segmentor(ours, aggregator_class, head_class, classes).to(get_device()).eval()
        super().__init__('reference', model, classes, 0, shape, dict(
            tower=[(model.backbone, 'forward')], space=[(layer.spatial_agg, 'forward') for layer in model.neck.layers],
            classes=[(layer.class_agg, 'forward') for layer in model.neck.layers],
            decoder=[(model.decode_head, 'forward')]))


class ProjectFeatures(nn.Module):
    """What the project's backbone gives: guidance, the dense map of a tower, text features.

    Args:
        guide: a ResNet.
        tower: one of our towers.
        text: class embeddings (T, P, D).
    """

    def __init__(self, guide: nn.Module, tower: nn.Module, text: torch.Tensor) -> None:
        super().__init__()
        self.guide = guide
        self.tower = tower
        self.register_buffer('text', text)

    def forward(self, images: torch.Tensor) -> dict:
        """Their inputs of the aggregator.

        Args:
            images: (B, 3, H, W).
        """
        return dict(appearance_feat=self.guide(images), clip_text_feat_test=self.text,
                    clip_img_feat=self.tower.encode_dense(images, normalize=False))


def project_segmentor(ours: CATSeg, aggregator: type, head: type, classes: int) -> nn.Module:
    """mmseg's segmentor of the project's parts.

    Args:
        ours: gives the tower and the sizes.
        aggregator: the project's class.
        head: likewise.
        classes: number T of classes.
    """
    sizes = ours.decode_head.aggregator
    block, prompts = sizes.spatial_layers[0].blocks[0], sizes.cost_embedding.in_channels
    width, dim = sizes.cost_embedding.out_channels, ours.backbone.embed_dim
    with DefaultScope.overwrite_default_scope('mmseg'):
        model = MODELS.build(dict(
            type='EncoderDecoder', data_preprocessor=ours.data_preprocessor,
            backbone=dict(type='ResNet', depth=101, num_stages=3, out_indices=(0, 1, 2), strides=(1, 2, 2),
                          dilations=(1, 1, 1), contract_dilation=True),
            neck=dict(type=aggregator, text_guidance_dim=dim, appearance_guidance_dim=CHANNELS[2], embed_dims=width,
                      num_layers=len(sizes.spatial_layers), num_heads=block.num_heads, window_size=block.window_size,
                      pooling_size=(1, 1), prompt_channel=prompts),
            decode_head=dict(type=head, in_channels=width, channels=width, num_classes=classes, embed_dims=width,
                             decoder_guidance_dims=CHANNELS[1::-1],
                             loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True)),
            test_cfg=ConfigDict(mode='whole')))
    model.backbone = ProjectFeatures(model.backbone, ours.backbone, torch.randn(classes, prompts, dim))
    return model


def project_classes(folder: Path) -> tuple[type, type]:
    """The project's aggregator and head, without the parts beside them, which want CLIP's weights.

    Args:
        folder: projects/CAT-Seg.
    """
    if not Path(folder, 'cat_seg', 'models', 'cat_aggregator.py').is_file():
        raise FileNotFoundError(f'--reference {folder}: found no cat_seg/models/cat_aggregator.py, expected the folder '
                                'projects/CAT-Seg of a checkout of mmsegmentation')
    for name in ('cat_seg', 'cat_seg.models'):  # in the place of packages that import everything
        sys.modules[name] = ModuleType(name)
        sys.modules[name].__path__ = [str(Path(folder, *name.split('.')))]
    modules = [importlib.import_module(f'cat_seg.models.{name}') for name in ('cat_aggregator', 'cat_head')]
    return modules[0].CATSegAggregator, modules[1].CATSegHead
