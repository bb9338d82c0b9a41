"""A tiny OVMask2Former and its inputs, for the tests of this folder."""
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.config import Config
from mmengine.structures import InstanceData

import rsc_mm.models.detectors  # noqa: F401  registers the parts
from rsc_mm.registry import MODELS
from tests.test_tools.common import REPOSITORY


def tiny_panoptic(**vocabulary: object) -> torch.nn.Module:
    """The model of configs/shapes/panoptic_shapes.py with 8 queries and one layer of the decoder; random but the tower.

    Args:
        **vocabulary: fields of its `VocabularyEncoder`.
    """
    torch.manual_seed(0)
    config = Config.fromfile(REPOSITORY / 'configs/shapes/panoptic_shapes.py').model
    config.panoptic_head.num_queries = 8
    config.panoptic_head.transformer_decoder.num_layers = 1
    config.panoptic_head.vocabulary.update(vocabulary)
    config.train_cfg.num_points = 64
    model = MODELS.build(dict(config, _scope_='mmdet'))
    model.init_weights()
    return model


def batch(model: torch.nn.Module, sizes: list[tuple[int, int]], training: bool = True, number: int = 2) -> dict:
    """Preprocessed random images of the given (height, width), cut into ``number`` segments from left to right."""
    generator = torch.Generator().manual_seed(0)
    inputs = [torch.randint(0, 256, (3, *size), generator=generator, dtype=torch.uint8) for size in sizes]
    samples = []
    for height, width in sizes:
        masks = torch.zeros(number, height, width, dtype=torch.uint8)
        for i in range(number):
            masks[i, :, i * width // number:(i + 1) * width // number] = 1
        sample = DetDataSample(metainfo=dict(img_shape=(height, width), ori_shape=(height, width),
                                             scale_factor=(1., 1.)))
        sample.gt_instances = InstanceData(
            labels=torch.tensor([0, 9, 3, 7])[:number], masks=BitmapMasks(masks.numpy(), height, width),
            bboxes=torch.tensor([[0., 0, 1, 1]] * number))
        samples.append(sample)
    return model.data_preprocessor(dict(inputs=inputs, data_samples=samples), training)
