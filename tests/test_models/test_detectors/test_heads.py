import math

import pytest
import torch
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
from torch.nn import functional as F

from rsc_mm.models.detectors import Float32RoIExtractor, NormRPNHead, ViTPyramidFPN
from rsc_mm.models.heads import TextClassifier, fuse_scores
from rsc_mm.models.losses import MaskedCrossEntropyLoss, mask_novel
from tests.test_models.test_detectors.tiny import BASE, embeddings, tiny_config, tiny_fvit

ROI = dict(roi_layer=dict(type='RoIAlign', output_size=2, sampling_ratio=2), out_channels=1, featmap_strides=[1])


def test_fusion_by_hand():
    # A base class: 0.25^0.5 * 0.64^0.5; a novel class: 0.16^0.25 * 0.81^0.75; the background as a base class.
    p, q = torch.tensor([[0.25, 0.16, 0.59]]), torch.tensor([[0.64, 0.81, 0.59]])
    fused = fuse_scores(p, q, torch.tensor([True, False, True]), alpha=0.5, beta=0.75)
    expected = [0.5 * 0.8, math.sqrt(0.4) * 0.9 ** 1.5, 0.59]
    assert torch.allclose(fused, torch.tensor([expected]), atol=1e-6)


def test_fusion_against_slow_version_and_limits():
    p, q = torch.rand(2, 6, 5, dtype=torch.float64).softmax(2)
    is_base = torch.tensor([True, False, False, True, True])
    fused = fuse_scores(p, q, is_base, 0.1, 0.8)
    for i in range(6):
        for c in range(5):
            share = 0.1 if is_base[c] else 0.8
            slow = math.exp((1 - share) * math.log(p[i, c]) + share * math.log(q[i, c]))
            assert fused[i, c].item() == pytest.approx(slow, abs=1e-12)
    assert torch.equal(fuse_scores(p, q, is_base, 0., 0.), p)
    assert torch.equal(fuse_scores(p, q, is_base, 1., 1.), q)
    assert fuse_scores(p.bfloat16(), q.bfloat16(), is_base, 0.1, 0.8).dtype == torch.float32


def test_masked_cross_entropy_by_hand():
    # Two base classes, one novel, background. Logits 0: each probability is 1/3 over what is left.
    logits = mask_novel(torch.zeros(3, 4), torch.tensor([True, False, True, True]))
    loss = MaskedCrossEntropyLoss(background_weight=0.6)
    value = loss(logits, torch.tensor([0, 3, 3]), torch.tensor([1., 1., 0.]))
    assert value.item() == pytest.approx((1 + 0.6) * math.log(3) / 2, abs=1e-6)
    assert loss(logits, torch.tensor([0, 3, 3]), reduction_override='none').tolist() == pytest.approx(
        [math.log(3), 0.6 * math.log(3), 0.6 * math.log(3)])


def test_masked_cross_entropy_against_slow_version():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(9, 6, generator=generator, dtype=torch.float64, requires_grad=True)
    is_base = torch.tensor([True, False, True, False, True, True])
    labels, weight = torch.tensor([0, 2, 4, 5, 5, 5, 0, 2, 5]), torch.tensor([1., 1, 1, 1, 1, 0, 1, 2, 1]).double()
    slow = 0.
    for row, label, w in zip(logits.tolist(), labels.tolist(), weight.tolist()):
        total = sum(math.exp(value) for value, base in zip(row, is_base.tolist()) if base)
        slow -= w * (0.9 if label == 5 else 1) * math.log(math.exp(row[label]) / total)
    loss = MaskedCrossEntropyLoss(background_weight=0.9, loss_weight=3.)(mask_novel(logits, is_base), labels, weight)
    assert loss.item() == pytest.approx(3 * slow / 8, abs=1e-10)
    loss.backward()
    assert logits.grad.isfinite().all() and (logits.grad[:, ~is_base] == 0).all()
    assert (logits.grad[:, is_base].abs().sum(0) > 0).all()


def test_masked_cross_entropy_gradcheck_half_precision_and_no_sample():
    loss, is_base = MaskedCrossEntropyLoss(0.6), torch.tensor([True, False, True])
    labels = torch.tensor([0, 2, 2, 0])
    logits = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda z: loss(mask_novel(z, is_base), labels), logits)
    half = loss(mask_novel(logits.detach().bfloat16(), is_base), labels)
    assert half.dtype == torch.float32 and half.isfinite()
    empty = loss(torch.zeros(0, 3, requires_grad=True), torch.zeros(0, dtype=torch.long))
    empty.backward()
    assert empty == 0


def test_text_classifier_is_a_cosine_and_survives_zero_features():
    classifier = TextClassifier(24, 5, temperature=50.)
    classifier.set_embeddings(embeddings())
    x = torch.randn(3, 24)
    slow = torch.stack([50 * torch.stack([F.cosine_similarity(v, e, dim=0) for e in embeddings()]) for v in x])
    assert torch.allclose(classifier(x), slow, atol=1e-4)
    assert torch.allclose(classifier(3 * x), classifier(x), atol=1e-4)
    zero = torch.zeros(2, 24, requires_grad=True)
    logits = classifier(zero.relu())
    logits.sum().backward()
    assert (logits == 0).all() and zero.grad.isfinite().all()
    with torch.autocast('cpu', torch.bfloat16):
        assert torch.equal(classifier(x), classifier(x.float())) and classifier(x.bfloat16()).dtype == torch.float32
    assert list(classifier.state_dict()) == ['temperature', 'embeddings', 'vocabulary']
    with pytest.raises(ValueError, match="found 8 channels, expected 24, the head's field 'fc_out_channels'"):
        classifier.set_embeddings(torch.randn(5, 8))


def test_fixed_temperature_wins_over_the_loaded_one():
    classifier = TextClassifier(24, 5, fixed_temperature=2.)
    classifier.set_embeddings(embeddings())
    classifier.load_state_dict({'temperature': torch.tensor(80.)})  # as old files are, without embeddings
    x = torch.randn(3, 24)
    assert torch.allclose(classifier(x), 2 * classifier.cosine(x))
    assert not classifier.temperature.requires_grad


def test_roi_coordinates_stay_float32():
    # A ramp: the value of a region is its centre. 700.25 is no float16 number (steps of 0.5) and no bfloat16 one.
    ramp = torch.arange(800.).expand(1, 1, 4, 800)
    rois = torch.tensor([[0., 700.25, 0., 702.25, 2.]])
    mine = Float32RoIExtractor(**ROI)((ramp.double(), ), rois.double()).mean().item()
    assert mine == pytest.approx(701.25 - 0.5, abs=1e-9)
    exact = Float32RoIExtractor(**ROI)((ramp, ), rois)
    assert exact.mean().item() == pytest.approx(700.75, abs=1e-3)
    narrow = torch.zeros(1, 1, 4, 800)
    narrow[..., 700:] = 1  # a step that bfloat16 holds exactly: only the coordinates can go wrong
    step = torch.tensor([[0., 699.25, 0., 701.25, 2.]])
    with torch.autocast('cpu', torch.bfloat16):
        half = Float32RoIExtractor(**ROI)((narrow.bfloat16(), ), step)
    assert half.dtype == torch.float32
    assert torch.equal(half, SingleRoIExtractor(**ROI)((narrow, ), step))
    assert not torch.allclose(half, SingleRoIExtractor(**ROI)((narrow.bfloat16().float(), ), step.bfloat16().float()))


@pytest.mark.parametrize('size', [(4, 4), (4, 6)])
def test_pyramid_sizes_and_kinds(size):
    neck = ViTPyramidFPN(6, out_channels=3, num_outs=5)
    maps = tuple(torch.randn(2, 6, *size) for _ in range(4))
    levels = neck(maps)
    assert [tuple(level.shape[2:]) for level in levels] == [
        tuple(int(side * factor) if factor >= 1 else -(-side // int(1 / factor)) for side in size)
        for factor in (4, 2, 1, 0.5, 0.25)]
    assert {level.shape[1] for level in levels} == {3}
    # Every level of the pyramid hears of every map that is not finer than it.
    changed = neck((maps[0] + 1, *maps[1:]))
    assert not torch.equal(changed[0], levels[0]) and torch.equal(changed[1], levels[1])


def test_rpn_head_takes_a_norm_and_gives_float32():
    plain, normed = (NormRPNHead(norm_cfg=cfg, in_channels=8, feat_channels=8, num_convs=2, anchor_generator=dict(
        type='AnchorGenerator', scales=[8], ratios=[1.], strides=[4])) for cfg in (None, dict(type='BN')))
    assert {'rpn_conv.0.conv.bias', 'rpn_conv.1.conv.bias'} <= plain.state_dict().keys()
    assert {'rpn_conv.0.bn.weight', 'rpn_conv.1.bn.weight'} <= normed.state_dict().keys()
    assert 'rpn_conv.0.conv.bias' not in normed.state_dict()
    with torch.autocast('cpu', torch.bfloat16):
        assert {out.dtype for out in normed.forward_single(torch.randn(1, 8, 5, 5))} == {torch.float32}


def test_box_head_scores_against_slow_version():
    head = tiny_fvit().eval().roi_head.bbox_head
    assert head.is_base.tolist() == [name in BASE for name in head.classes] + [True]
    logits, regions = torch.randn(3, 5), torch.randn(3, 24)
    p, q = logits.softmax(1), (75 * F.normalize(regions, dim=1) @ embeddings().t()).softmax(1)
    for i in range(3):
        for c in range(5):
            share = 0.1 if head.is_base[c] else 0.8
            slow = p[i, c] ** (1 - share) * q[i, c] ** share
            assert head.scores(logits, regions)[i, c].item() == pytest.approx(slow.item(), rel=1e-3, abs=1e-9)


def test_detections_keep_the_fused_scores_and_clip_to_the_image():
    head = tiny_fvit().eval().roi_head.bbox_head
    rois = torch.tensor([[0., 10., 10., 90., 40.], [0., 12., 10., 90., 40.]])
    scores = torch.tensor([[0.5, 0.002, 0.3, 0.05, 0.9], [0.4, 0.001, 0.1, 0.2, 0.9]])
    cfg = dict(score_thr=0.01, nms=dict(type='nms', iou_threshold=0.4), max_per_img=100)
    found, = head.predict_by_feat((rois, ), (scores, ), (torch.zeros(2, 4), ), [
        dict(img_shape=(40, 64), scale_factor=(2., 2.))], cfg, rescale=True)
    # No second softmax; of two overlapping boxes the better one remains, class by class; the background never.
    assert sorted(zip(found.labels.tolist(), found.scores.tolist())) == [
        (0, pytest.approx(0.5)), (2, pytest.approx(0.3)), (3, pytest.approx(0.2))]
    assert found.bboxes[:, 2].max() == 32 and found.bboxes[:, 3].max() == 20


def test_config_of_the_base_model_is_that_of_the_paper():
    head = tiny_config().roi_head.bbox_head
    assert (head.temperature, head.clip_temperature, head.alpha, head.beta) == (50, 75, 0.1, 0.8)
    assert head.loss_cls.background_weight == 0.6
