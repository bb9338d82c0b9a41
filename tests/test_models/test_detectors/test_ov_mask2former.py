import copy

import pytest
import torch
from mmengine.config import Config
from torch.nn import functional as F

from rsc_mm.models.detectors import label_pixels, mask_features
from rsc_mm.registry import MODELS

from .tiny_panoptic import batch, tiny_panoptic

pytestmark = pytest.mark.filterwarnings('ignore:torch.meshgrid:UserWarning')


@pytest.fixture(scope='module')
def model():
    return tiny_panoptic()


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


@torch.no_grad()
def test_pixels_of_a_test_pass_are_labelled_at_the_size_of_the_file(model):
    changed = copy.deepcopy(model).eval()
    changed.semantic_on = True
    data = batch(changed, [(64, 96), (48, 80)], training=False)
    data['data_samples'][1].set_metainfo(dict(ori_shape=(96, 160), scale_factor=(0.5, 0.5)))
    found = [sample.pred_sem_seg.data for sample in changed(**data, mode='predict')]
    assert [labels.shape for labels in found] == [(1, 64, 96), (1, 96, 160)]
    assert all(0 <= labels.min() and labels.max() < 18 for labels in found)


def test_labels_of_pixels_by_hand():
    classes = torch.tensor([[0.9, 0.1, 0.], [0.2, 0.5, 0.3], [0.1, 0.5, 0.4]])  # the last column is no object
    masks = torch.tensor([[[9., -9., 9., 5.]], [[-9., 9., 9., 5.]], [[-9., -9., 9., 5.]]])  # the last pixel is padding
    assert label_pixels(classes, masks, (1, 3), (1, 3)).tolist() == [[0, 1, 0]]  # 1.2 against 1.1
    slow = torch.einsum('nc,nhw->chw', classes[:, :2], masks[..., :3].repeat_interleave(2, 1).sigmoid()).argmax(0)
    assert label_pixels(classes, masks, (1, 3), (2, 3)).equal(slow)


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


def test_synonyms_in_training():
    found = tiny_panoptic(classes=[f'{i}; circle {i}' for i in range(6)] + ['disc; circle', 'sky; clouds']).train()
    head = found.panoptic_head
    assert found.classes[6:] == ('disc', 'sky') and head.num_classes == 8 and head.vocabulary.counts == [2] * 8
    out, masks, features = torch.randn(1, 8, 64), torch.randn(1, 8, 5, 6), torch.randn(1, 64, 5, 6)
    logits = head.class_logits(out, masks, features)
    texts = [text for part in head.vocabulary.train_queries[1] for text in part]
    head.vocabulary.train_queries = texts, [[text] for text in texts]
    apart = head.class_logits(out, masks, features)
    torch.testing.assert_close(logits[..., :8], apart[..., :16].unflatten(-1, (8, 2)).amax(-1))
    torch.testing.assert_close(logits[..., 8], apart[..., 16])
    found.eval()
    seen = dict(zip(found.classes, found.is_seen.tolist()))
    assert seen['circle'] and seen['clouds'] and not seen['star']  # by their second names


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
    config.panoptic_head.vocabulary.test_classes = [f'class {i}' for i in range(1000)]
    with pytest.raises(ValueError, match='found 1000 classes of test, expected at most 999'):
        MODELS.build(dict(config, _scope_='mmdet'))
    config = Config.fromfile('configs/shapes/panoptic_shapes.py').model
    config.panoptic_head.num_things_classes = 16
    with pytest.raises(ValueError, match="'num_things_classes': found 16, expected at most 15"):
        MODELS.build(dict(config, _scope_='mmdet'))
