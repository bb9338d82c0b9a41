import copy

import pytest
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.config import Config
from mmengine.structures import InstanceData
from torch.nn import functional as F

from rsc_mm.models.detectors import mask_features
from rsc_mm.registry import MODELS

pytestmark = pytest.mark.filterwarnings('ignore:torch.meshgrid:UserWarning')


@pytest.fixture(scope='module')
def model():
    torch.manual_seed(0)
    config = Config.fromfile('configs/shapes/panoptic_shapes.py').model
    config.panoptic_head.num_queries = 8
    config.panoptic_head.transformer_decoder.num_layers = 1
    config.train_cfg.num_points = 64
    found = MODELS.build(dict(config, _scope_='mmdet'))
    found.init_weights()
    return found


def batch(model, sizes, training=True):
    generator = torch.Generator().manual_seed(0)
    inputs = [torch.randint(0, 256, (3, *size), generator=generator, dtype=torch.uint8) for size in sizes]
    samples = []
    for height, width in sizes:
        masks = torch.zeros(2, height, width, dtype=torch.uint8)
        masks[0, :, :width // 2], masks[1, :, width // 2:] = 1, 1
        sample = DetDataSample(metainfo=dict(img_shape=(height, width), ori_shape=(height, width),
                                             scale_factor=(1., 1.)))
        sample.gt_instances = InstanceData(labels=torch.tensor([0, 9]), masks=BitmapMasks(masks.numpy(), height, width),
                                           bboxes=torch.tensor([[0., 0, 1, 1]] * 2))
        samples.append(sample)
    return model.data_preprocessor(dict(inputs=inputs, data_samples=samples), training)


def test_a_step_reaches_every_trainable_parameter_and_no_frozen_one(model):
    model.train()
    losses = model(**batch(model, [(64, 96), (64, 80)]), mode='loss')
    total, _ = model.parse_losses(losses)
    model.zero_grad()
    total.backward()
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert {name for name, p in model.named_parameters() if p.grad is not None} == trained
    assert not [name for name in trained if name.startswith('backbone') or 'vocabulary' in name]
    assert not [name for name in trained if 'cls_embed' in name]
    assert losses['loss_cls'].isfinite() and model.panoptic_head.loss_cls.class_weight == [1.] * 15 + [0.1]


@torch.no_grad()
def test_a_test_pass_of_rectangles_equals_single_images(model):
    model.eval()
    sizes = [(64, 96), (48, 80)]
    together = model(**batch(model, sizes, training=False), mode='predict')
    for sample, size in zip(together, sizes):
        found = sample.pred_panoptic_seg.sem_seg
        assert found.shape == (1, *size)
        assert ((found % 1000) <= 18).all()
        stuff = found[(found % 1000 >= 10) & (found % 1000 < 18)]
        assert (stuff < 1000).all()


def test_class_logits_against_a_slow_version(model):
    head = model.panoptic_head.eval()
    generator = torch.Generator().manual_seed(1)
    out, features = torch.randn(2, 8, 64, generator=generator), torch.randn(2, 64, 5, 6, generator=generator)
    masks = torch.randn(2, 8, 5, 6, generator=generator)
    masks[0, 0] = -1  # no pixel: the pooled feature is 0
    found = head.class_logits(out, masks, features)
    texts = F.normalize(head.vocabulary().mean(1), dim=1)
    for b in range(2):
        for n in range(8):
            inside = masks[b, n] > 0
            pooled = features[b][:, inside].mean(1) if inside.any() else torch.zeros(64)
            x = F.normalize(head.text_embed(out[b, n] + head.pool(pooled)), dim=0)
            rows = torch.cat([texts, F.normalize(head.void, dim=0)[None]])
            torch.testing.assert_close(found[b, n], head.log_scale.exp() * rows @ x, atol=1e-4, rtol=1e-4)


def test_synonyms_take_the_best_and_things_follow_the_vocabulary(model):
    changed = copy.deepcopy(model).eval()
    x = torch.randn(1, 3, 128, generator=torch.Generator().manual_seed(2))
    changed.set_vocabulary(['star; ring'], ['clouds'])
    assert changed.classes == ('star', 'clouds') and changed.panoptic_head.num_things == 1
    both = changed.panoptic_head.class_cosines(x)
    changed.set_vocabulary(['star', 'ring'])
    torch.testing.assert_close(both[..., 0], changed.panoptic_head.class_cosines(x).amax(-1))
    assert changed.panoptic_head.num_things == 2


def test_seen_classes_share_a_text_with_those_of_training(model):
    changed = copy.deepcopy(model).eval()
    assert dict(zip(changed.classes, changed.is_seen.tolist()))['heart'] is False
    assert int(changed.is_seen.sum()) == 15
    changed.set_vocabulary(['disc; circle', 'heart', 'Star'], ['sky'])
    assert changed.is_seen.tolist() == [True, False, True, False]


def test_mask_features_against_a_slow_version():
    generator = torch.Generator().manual_seed(3)
    dense, masks = torch.randn(2, 7, 4, 6, generator=generator), torch.randn(2, 5, 8, 12, generator=generator)
    masks[0, 0] = -1
    masks[0, 0, 5, 7] = -0.5  # no positive cell: the cell of the largest logit
    masks[1, :, :, 8:] = -torch.inf
    found = mask_features(dense, masks)
    small = F.interpolate(masks.clamp(min=-1e30), (4, 6), mode='bilinear', align_corners=False)
    for b in range(2):
        for n in range(5):
            inside = small[b, n] > 0
            if not inside.any():
                inside = small[b, n] == small[b, n].max()
            expected = F.normalize(dense[b], dim=0)[:, inside].mean(1)
            torch.testing.assert_close(found[b, n], expected)
    assert found.isfinite().all()


@torch.no_grad()
def test_clip_alone_is_region_classification_of_the_masks(model):
    """With alpha and beta 1 the order of the classes is that of the cosines of the pooled dense map."""
    changed = copy.deepcopy(model).eval()
    changed.alpha = changed.beta = 1.
    seen = {}
    changed.panoptic_fusion_head.predict = lambda classes, masks, *_, **__: seen.update(classes=classes, masks=masks) \
        or [dict() for _ in classes]
    data = batch(changed, [(64, 96)], training=False)
    changed(**data, mode='predict')
    dense = changed.backbone.encode_dense(data['inputs'])
    cosines = changed.panoptic_head.class_cosines(mask_features(dense, seen['masks']))
    assert torch.equal(seen['classes'][..., :-1].argmax(-1), cosines.argmax(-1))


def test_wrong_fields_are_named():
    config = Config.fromfile('configs/shapes/panoptic_shapes.py').model
    config.backbone.out_indices = (1, 2, 3, 4)
    with pytest.raises(ValueError, match=r"'backbone.out_indices': found \(1, 2, 3, 4\), expected the last to be 5"):
        MODELS.build(dict(config, _scope_='mmdet'))
    config = Config.fromfile('configs/shapes/panoptic_shapes.py').model
    config.panoptic_head.num_things_classes = 16
    with pytest.raises(ValueError, match="'num_things_classes': found 16, expected at most 15"):
        MODELS.build(dict(config, _scope_='mmdet'))
