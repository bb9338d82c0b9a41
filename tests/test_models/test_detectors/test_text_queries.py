"""Texts, matching, losses and denoising of OV-DQUO against slow loops and numbers worked by hand."""
import math
from itertools import permutations

import pytest
import torch
from mmdet.models.layers import CdnQueryGenerator
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from torch.nn import functional as F

from rsc_mm.models.detectors.text_assigner import TextHungarianAssigner
from rsc_mm.models.detectors.text_denoising import TextDenoising
from rsc_mm.models.detectors.text_queries import give_wildcards, nearest_texts
from rsc_mm.models.detectors.training_vocabulary import sample_classes, training_objects

from .tiny_ov_dquo import tiny_ov_dquo

COSTS = [dict(type='FocalLossCost', weight=2.0), dict(type='BBoxL1Cost', weight=5.0, box_format='xywh'),
         dict(type='IoUCost', iou_mode='giou', weight=2.0)]
SHAPE = (40, 80)


def test_a_prior_flips_the_choice():
    regions = torch.tensor([[1., 0.99], [1., 0.9]])
    rows = torch.eye(2)
    assert nearest_texts(regions, rows, 100.).tolist() == [0, 0]
    assert nearest_texts(regions, rows, 100., torch.tensor([1., 3.])).tolist() == [1, 0]
    # what the public code computes, with its column of -1
    logits = 100 * F.normalize(regions, dim=1) @ rows.t()
    slow = torch.cat([logits, -100 * torch.ones(2, 1)], 1).double().softmax(1)[:, :2] * torch.tensor([1., 3.])
    assert slow.argmax(1).tolist() == [1, 0]


def test_proposals_over_unknown_objects_carry_the_wildcard():
    boxes = torch.tensor([[0., 0, 10, 10], [0, 0, 10, 5], [20, 20, 30, 30]])  # IoU 1, exactly 0.5, 0
    unknown = torch.tensor([[0., 0, 10, 10]])
    assert give_wildcards(torch.tensor([0, 1, 2]), boxes, unknown, 7).tolist() == [7, 1, 2]
    assert give_wildcards(torch.tensor([0, 1, 2]), boxes, unknown[:0], 7).tolist() == [0, 1, 2]


def test_classes_of_a_step():
    base = torch.tensor([0, 2, 3, 5, 8])
    assert sample_classes(torch.tensor([3]), base, None).equal(base)
    for seed in range(5):
        torch.manual_seed(seed)
        chosen = sample_classes(torch.tensor([8, 3, -1, 1, 3]), base, 3)  # 1 is novel, -1 unknown
        assert {3, 8} < set(chosen.tolist()) <= set(base.tolist()) and chosen.tolist() == sorted(chosen.tolist())
        assert set(sample_classes(base, base, 2).tolist()) < set(base.tolist())


def test_objects_of_a_step():
    objects = InstanceData(bboxes=torch.rand(5, 4), labels=torch.tensor([3, -1, 1, 8, 5]),
                           weights=torch.tensor([0.9, 0.5, 0.9, 0.9, 0.9]))
    found = training_objects(objects, torch.tensor([3, 8]), 9)
    assert found.labels.tolist() == [0, 2, 1] and found.weights.tolist() == [1, 0.5, 1]
    assert found.bboxes.equal(objects.bboxes[[0, 1, 3]])
    del objects.weights
    assert training_objects(objects, torch.tensor([3, 8]), 9).weights.tolist() == [1, 1, 1]


def random_image(seed, queries=5, objects=3, classes=2):
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(queries + objects, 2, generator=generator) * 20
    boxes = torch.cat([corner, corner + 5 + torch.rand(queries + objects, 2, generator=generator) * 20], dim=1)
    texts = torch.randint(classes, (queries + objects, ), generator=generator)
    return (InstanceData(scores=torch.randn(queries, 1, generator=generator), bboxes=boxes[:queries],
                         texts=texts[:queries]),
            InstanceData(bboxes=boxes[queries:], labels=torch.zeros(objects, dtype=torch.long),
                         texts=texts[queries:]))


def slow_giou(a, b):
    inter = max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter
    hull = (max(a[2], b[2]) - min(a[0], b[0])) * (max(a[3], b[3]) - min(a[1], b[1]))
    return inter / union - (hull - union) / hull


def slow_cost(logit, a, b):
    p = 1 / (1 + math.exp(-logit))
    focal = -0.25 * (1 - p)**2 * math.log(p) + 0.75 * p**2 * math.log(1 - p)
    parts = [[(x[0] + x[2]) / 160, (x[1] + x[3]) / 80, (x[2] - x[0]) / 80, (x[3] - x[1]) / 40] for x in (a, b)]
    return 2 * focal + 5 * sum(abs(x - y) for x, y in zip(*parts)) - 2 * slow_giou(a, b)


@pytest.mark.parametrize('seed', range(8))
def test_matching_against_every_permutation(seed):
    """The best assignment of all: forbidden pairs cost 99 and are cut, unreachable objects are left out before."""
    queries, objects = random_image(seed)
    found = TextHungarianAssigner(COSTS).assign(queries, objects, dict(img_shape=SHAPE)).gt_inds
    same = queries.texts[:, None] == objects.texts
    boxes, wanted = queries.bboxes.tolist(), objects.bboxes.tolist()
    kept = [g for g in range(3) if any(same[q, g] and slow_giou(boxes[q], wanted[g]) > 0 for q in range(5))]
    best, expected = math.inf, {}
    for order in permutations(range(5), len(kept)):
        pairs = list(zip(order, kept))
        total = sum(slow_cost(queries.scores[q].item(), boxes[q], wanted[g]) if same[q, g] else 99 for q, g in pairs)
        if total < best:
            best, expected = total, {q: g + 1 for q, g in pairs if same[q, g]}
    assert found.tolist() == [expected.get(q, 0) for q in range(5)]


def test_an_object_takes_no_query_of_another_text():
    """Three objects: one of the query's class, one without any query of its class, one unknown with its wildcard."""
    box = torch.tensor([[5., 5, 25, 25], [40, 5, 60, 25], [10, 10, 30, 30]])
    queries = InstanceData(scores=torch.zeros(3, 1), bboxes=box, texts=torch.tensor([0, 0, 9]))
    objects = InstanceData(bboxes=box, labels=torch.zeros(3, dtype=torch.long), texts=torch.tensor([0, 1, 9]))
    assign = TextHungarianAssigner(COSTS).assign
    assert assign(queries, objects, dict(img_shape=SHAPE)).gt_inds.tolist() == [1, 0, 3]
    more = InstanceData(bboxes=box[[0, 0, 0]], labels=objects.labels, texts=torch.tensor([9, 9, 9]))
    assert (assign(queries, more, dict(img_shape=SHAPE)).gt_inds > 0).tolist() == [False, False, True]  # one query
    assert assign(queries, objects[:0], dict(img_shape=SHAPE)).gt_inds.tolist() == [0, 0, 0]


def test_losses_of_a_layer_against_a_loop():
    head = tiny_ov_dquo().bbox_head  # two base classes: the wildcard is 2
    torch.manual_seed(3)
    logits, boxes = torch.randn(2, 4), torch.rand(2, 4, 4) * 0.3 + 0.3
    objects = [InstanceData(bboxes=torch.tensor([[20., 8, 44, 30], [30, 10, 60, 34]]), labels=torch.tensor([1, 2]),
                            weights=torch.tensor([1., 0.36])),
               InstanceData(bboxes=torch.tensor([[16., 16, 40, 40]]), labels=torch.tensor([0]),
                            weights=torch.tensor([1.]))]
    shapes = [(40, 80), (64, 64)]
    found = torch.tensor([[0, 2, 1, 0], [1, 0, 0, 0]])
    divisors = head.divisors(found, objects)
    assert divisors.tolist() == [2, 1]
    result = head.matched_losses(logits, boxes, found, objects, shapes, divisors, 'x_')
    cls = l1 = giou = 0.
    for b in range(2):
        height, width = shapes[b]
        for q in range(4):
            o = logits[b, q].item()
            p, target, weight = 1 / (1 + math.exp(-o)), 0., 1.
            if number := found[b, q].item():
                x, y, w, h = boxes[b, q].tolist()
                mine = [(x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height]
                other = objects[b].bboxes[number - 1].tolist()
                inter = max(0, min(mine[2], other[2]) - max(mine[0], other[0])) * max(
                    0, min(mine[3], other[3]) - max(mine[1], other[1]))
                areas = [(k[2] - k[0]) * (k[3] - k[1]) for k in (mine, other)]
                target, weight = inter / (sum(areas) - inter), objects[b].weights[number - 1].item()**0.5
                if objects[b].labels[number - 1] < 2:
                    giou += 1 - slow_giou(mine, other)
                    relative = [(other[0] + other[2]) / 2 / width, (other[1] + other[3]) / 2 / height,
                                (other[2] - other[0]) / width, (other[3] - other[1]) / height]
                    l1 += sum(abs(i - j) for i, j in zip((x, y, w, h), relative))
            if target > 0:
                cls += weight * target * -(target * math.log(p) + (1 - target) * math.log(1 - p))
            else:
                cls += weight * 0.75 * p**2 * -math.log(1 - p)
    expected = dict(x_loss_cls=2 * cls / 3, x_loss_bbox=5 * l1 / 2, x_loss_iou=2 * giou / 2)
    assert {name: value.item() for name, value in result.items()} == pytest.approx(expected, rel=1e-4)


def samples(*rows):
    made = []
    for labels, weights in rows:
        sample = DetDataSample(metainfo=dict(img_shape=SHAPE))
        corner = torch.arange(len(labels))[:, None] * torch.tensor([[10., 5.]])
        sample.gt_instances = InstanceData(
            bboxes=torch.cat([corner, corner + 12], 1), labels=torch.tensor(labels).long(),
            weights=torch.tensor(weights).float())
        made.append(sample)
    return made


def denoiser(noise=0.5):
    torch.manual_seed(0)
    part = TextDenoising(num_classes=3, embed_dims=6, num_matching_queries=5, label_noise_scale=noise,
                         box_noise_scale=1.0, group_cfg=dict(dynamic=True, num_dn_queries=7))
    return part, torch.randn(3, 6)


def test_denoising_queries():
    part, texts = denoiser(noise=1e-9)
    data = samples(([2, 0, 2], [0.25, 1., 0.81]), ([2], [0.16]))  # the annotated object takes no part
    made = part(data, texts)
    assert made.groups == 3 and made.content.shape == (2, 12, 6)  # 7 // 2 groups of 2 positives and 2 negatives
    half = torch.tensor([[1., 1, 0, 0]])
    assert made.targets.equal(half.repeat(2, 3))
    assert torch.allclose(made.weights, torch.tensor([[0.5, 0.9, 1, 1], [0.4, 0, 1, 0]]).repeat(1, 3))
    wildcard = part.label_embedding.weight[2] + texts[2]
    assert torch.allclose(made.content[0], wildcard.expand(12, 6))
    assert not made.content[1, 1::2].any()  # padding
    assert made.mask.equal(CdnQueryGenerator(3, 6, 5, group_cfg=dict(dynamic=True, num_dn_queries=7)).generate_dn_mask(
        2, 3, 'cpu'))


def test_noise_of_denoising_queries():
    part, texts = denoiser()
    part.num_dn_queries = 4000
    made = part(samples(([2], [1.])), texts)
    content = made.content.view(4000, 2, 6)
    label = part.label_embedding.weight
    for side, carried in ((0, [2, 2, 2]), (1, [0, 1, 2])):  # positives keep the wildcard's text under a noisy label
        share = [(content[:, side] - label[i] - texts[c]).abs().sum(1).lt(1e-5).float().mean().item()
                 for i, c in enumerate(carried)]
        assert share == pytest.approx([0.25 / 3, 0.25 / 3, 0.75 + 0.25 / 3], abs=0.03)
    centre, size = made.boxes.sigmoid().view(4000, 2, 4).split(2, dim=2)
    corners = torch.cat([centre - size / 2, centre + size / 2], 2) * torch.tensor([80., 40, 80, 40])
    whole = (size > 2e-3)  # where the corners did not pass each other
    shift = (corners - torch.tensor([0., 0, 12, 12]))[..., 2:].abs() / 6  # in half sizes; the others are clamped
    assert shift[:, 0].max() < 1.05 and shift[:, 0].min() < 0.05
    negative = shift[:, 1][whole[:, 1]]
    assert negative.min() > 0.95 and 1.9 < negative.max() < 2.05


def test_denoising_without_unknown_objects():
    part, texts = denoiser()
    made = part(samples(([], []), ([1, 0], [1., 1.]), ([0], [1.])), texts)
    assert made.groups == 7 and made.weights.sum(1).tolist() == [0, 14, 0]
    none = part(samples(([], []), ([], [])), texts)
    assert none.content.shape == (2, 0, 6) and none.mask.shape == (5, 5) and not none.mask.any()


def test_the_denoising_loss_by_hand():
    head = tiny_ov_dquo().bbox_head
    part, texts = denoiser()
    made = part(samples(([2], [0.25])), texts)  # 7 groups of a positive and a negative
    loss = head.denoising_loss(torch.zeros(1, 14), made, torch.tensor(3.))
    focal = math.log(2) / 4  # p = 1/2: (1 - p)^2 * log 2
    assert loss.item() == pytest.approx(2 * 7 * (0.5 * 0.25 + 0.75) * focal / (3 * 7), rel=1e-5)
