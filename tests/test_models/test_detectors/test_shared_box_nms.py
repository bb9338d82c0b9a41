import pytest
import torch
from mmdet.models.layers import multiclass_nms

from rsc_mm.models.detectors.shared_box_nms import shared_box_nms

NMS = dict(type='nms', iou_threshold=0.5)


def clustered(boxes: int, classes: int, clusters: int, seed: int, levels: int | None = None, side: float = 300.):
    """Boxes around a few centres, and scores of all classes; with ``levels`` many of them tie."""
    generator = torch.Generator().manual_seed(seed)
    centres = torch.rand(clusters, 2, generator=generator) * side
    centre = centres[torch.randint(clusters, (boxes, ), generator=generator)]
    corner = centre + 6 * torch.randn(boxes, 2, generator=generator)
    sizes = 8 + 60 * torch.rand(boxes, 2, generator=generator)
    found = torch.cat([corner, corner + sizes], dim=1).clamp(0, side)
    scores = torch.rand(boxes, classes + 1, generator=generator) ** 4
    return found, scores if levels is None else (scores * levels).round() / levels


def slow(boxes, scores, score_thr, threshold, max_num):
    """Greedy NMS class by class in plain Python, on boxes that are not moved apart."""
    found = []
    for label in range(scores.shape[1] - 1):
        kept = []
        for row in sorted(range(len(boxes)), key=lambda i: (-scores[i, label].item(), i)):
            x1, y1, x2, y2 = boxes[row].tolist()
            overlaps = []
            for other in kept:
                u1, v1, u2, v2 = boxes[other].tolist()
                inner = max(0., min(x2, u2) - max(x1, u1)) * max(0., min(y2, v2) - max(y1, v1))
                overlaps.append(inner / ((x2 - x1) * (y2 - y1) + (u2 - u1) * (v2 - v1) - inner))
            if scores[row, label] > score_thr and all(overlap <= threshold for overlap in overlaps):
                kept.append(row)
        found += [(-scores[row, label].item(), row, label) for row in kept]
    return [(row, label) for _, row, label in sorted(found)[:max_num]]


@pytest.mark.parametrize('levels', [None, 20])
@pytest.mark.parametrize('boxes, classes, max_num', [(60, 40, 30), (300, 60, 100), (40, 5, 500), (1, 1, 10)])
def test_equal_to_mmdet(boxes, classes, max_num, levels):
    """Below mmdet's 10,000 pairs, where it makes one call, and above, where it makes one for each class."""
    for seed in range(3):
        made = clustered(boxes, classes, clusters=12, seed=seed, levels=levels)
        expected = multiclass_nms(*made, 0.02, NMS, max_num)
        found = shared_box_nms(*made, 0.02, NMS, max_num)
        if levels and boxes * classes > 10_000:  # mmdet's order of equal scores depends on the processor
            assert torch.equal(found[0][:, 4], expected[0][:, 4])
            everything = rows(*multiclass_nms(*made, 0.02, NMS, 10**6))
            assert len(rows(*found)) == max_num and rows(*found) <= everything
        else:
            assert torch.equal(found[0], expected[0]) and torch.equal(found[1], expected[1])


def rows(boxes, labels):
    return {(*box, label) for box, label in zip(boxes.tolist(), labels.tolist())}


def test_equal_to_a_slow_loop():
    boxes, scores = clustered(30, 6, clusters=4, seed=5)
    found, labels = shared_box_nms(boxes, scores, 0.05, NMS, 25)
    expected = slow(boxes, scores, 0.05, 0.5, 25)
    assert labels.tolist() == [label for _, label in expected]
    assert torch.equal(found[:, :4], boxes[[row for row, _ in expected]])


def test_rounding_of_high_labels_is_mmdets():
    """At label 1,200 moved boxes lie near 1.2 million, where float32 has steps of 0.125 px: small boxes feel it."""
    boxes, scores = clustered(40, 1203, clusters=3, seed=1, side=1000.)
    boxes[:, 2:] = boxes[:, :2] + (boxes[:, 2:] - boxes[:, :2]) / 8
    scores = torch.randperm(scores.numel(), generator=torch.Generator().manual_seed(0)).reshape(scores.shape)
    scores = scores / scores.numel()  # no two the same
    expected, found = (function(boxes, scores, 1e-4, NMS, 300) for function in (multiclass_nms, shared_box_nms))
    assert torch.equal(found[0], expected[0]) and torch.equal(found[1], expected[1])


def test_goes_on_until_enough_are_found():
    """Equal boxes: a class keeps one of 50, so that 20 detections need 1,000 pairs in score order, not 200."""
    boxes = torch.tensor([[10., 10, 50, 50]]).repeat(50, 1)
    scores = torch.cat([torch.linspace(1, 0.1, 30).repeat(50, 1), torch.zeros(50, 1)], dim=1)  # class by class
    expected, found = (function(boxes, scores, 0.01, NMS, 20) for function in (multiclass_nms, shared_box_nms))
    assert torch.equal(found[0], expected[0]) and found[1].tolist() == list(range(20))


def test_nothing_above_the_threshold():
    boxes, scores = clustered(5, 3, clusters=2, seed=0)
    for made in ((boxes, 0 * scores), (boxes[:0], scores[:0])):
        found, labels = shared_box_nms(*made, 0.1, NMS, 10)
        assert found.shape == (0, 5) and labels.shape == (0, ) and labels.dtype == torch.long


@pytest.mark.parametrize('cfg, max_num, shift', [
    (dict(type='soft_nms', iou_threshold=0.5), 20, 0), (dict(NMS, class_agnostic=True), 20, 0), (None, 20, 0),
    (NMS, -1, 0), (NMS, 20, 100)])
def test_other_settings_go_to_mmdet(cfg, max_num, shift):
    boxes, scores = clustered(50, 5, clusters=4, seed=2)
    expected, found = (function(boxes - shift, scores, 0.1, cfg, max_num)
                       for function in (multiclass_nms, shared_box_nms))
    assert torch.equal(found[0], expected[0]) and torch.equal(found[1], expected[1])


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_a_gpu_finds_the_same():
    boxes, scores = clustered(300, 60, clusters=12, seed=0)
    expected = shared_box_nms(boxes, scores, 0.02, NMS, 100)
    found = shared_box_nms(boxes.cuda(), scores.cuda(), 0.02, NMS, 100)
    assert torch.equal(found[1].cpu(), expected[1]) and torch.equal(found[0].cpu(), expected[0])
