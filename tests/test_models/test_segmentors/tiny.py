"""A tiny CAT-Seg and its inputs, for the tests of this folder."""
import torch
from mmengine.config import ConfigDict
from mmengine.registry import DefaultScope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

import rsc_mm.models.segmentors  # noqa: F401  registers the parts
from rsc_mm.models.segmentors import CATSeg
from rsc_mm.registry import MODELS
from tests.towers import GOLDEN_ARCH, randomize

CLASSES = ['cat', 'dog, puppy', 'red umbrella', 'kite', 'sky', 'grass', 'wall']
VIT = {key: value for key, value in GOLDEN_ARCH.items() if key != 'ref_feat_shape'}
TEXT = dict(embed_dim=24, context_length=20, width=16, heads=2, layers=3)
AGGREGATOR = dict(
    text_dim=24, text_proj_dim=8, appearance_dim=24, appearance_proj_dim=8, decoder_dims=(16, 16),
    decoder_guidance_dims=(8, 8), decoder_guidance_proj_dims=(4, 4), num_heads=2, hidden_dim=16,
    feature_resolution=(4, 4), window_size=2, pad_len=16)


def tiny_config(**fields: object) -> ConfigDict:
    """The model's config; ``fields`` are those of `CATSeg`, and 'aggregator', 'vocabulary' and 'tower' of its parts."""
    parts = {name: fields.pop(name, {}) for name in ('aggregator', 'vocabulary', 'tower')}
    model = dict(
        type='rsc_mm.CATSeg',
        data_preprocessor=dict(type='rsc_mm.RectangleSegPreProcessor', mean=[128.] * 3, std=[64.] * 3, bgr_to_rgb=True,
                               seg_pad_val=255, size_divisor=8),
        backbone={**dict(type='rsc_mm.CLIPViT', arch=VIT), **parts['tower']},
        decode_head=dict(
            type='rsc_mm.CATSegHead', in_channels=48,
            vocabulary={**dict(type='rsc_mm.VocabularyEncoder', classes=CLASSES, arch=TEXT), **parts['vocabulary']},
            aggregator={**AGGREGATOR, **parts['aggregator']}, loss=dict(type='rsc_mm.PixelBCELoss')),
        finetune=dict(visual=('q.weight', 'v.weight'), text=('q.weight', 'v.weight')))
    return ConfigDict({**model, **fields})


def build(config: ConfigDict) -> CATSeg:
    """A model of mmseg's scope, whose types stand without a prefix."""
    with DefaultScope.overwrite_default_scope('mmseg'):
        return MODELS.build(config)


def tiny_catseg(seed: int = 0, **fields: object) -> CATSeg:
    """A random segmentor, in eval mode."""
    torch.manual_seed(seed)
    model = build(tiny_config(**fields))
    randomize(model.backbone, seed)
    return model.eval()


def batch(model: CATSeg, sizes: list[tuple[int, int]], training: bool = False, ori_scale: int = 1) -> dict:
    """Preprocessed random images of the given (height, width), in files ``ori_scale`` times as large, with labels."""
    generator = torch.Generator().manual_seed(1)
    images, samples = [], []
    for size in sizes:
        images.append(torch.randint(0, 256, (3, *size), generator=generator, dtype=torch.uint8))
        sample = SegDataSample(metainfo=dict(img_shape=size, ori_shape=tuple(ori_scale * side for side in size)))
        labels = torch.randint(0, len(CLASSES), (1, *size), generator=generator)
        labels[:, :3] = 255
        sample.gt_sem_seg = PixelData(data=labels)
        samples.append(sample)
    return model.data_preprocessor(dict(inputs=images, data_samples=samples), training)
