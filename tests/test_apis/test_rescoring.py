import sys

import numpy as np
import pytest
import torch

import rsc_mm
from rsc_mm.apis.detections import Detections
from rsc_mm.apis.rescoring import rescore
from tests.test_tools.common import REPOSITORY

NAMES = ['circle', 'star', 'heart']
IMAGE = REPOSITORY / 'projects/shapes_clip/scene.jpg'
BOXES = np.array([[10, 20, 60, 70], [30, 5, 90, 50], [2, 2, 40, 40]], np.float32)
SCORES, LABELS = np.array([0.9, 0.25, 0.5], np.float32), np.array([2, 0, 1])


@pytest.fixture(scope='module')
def model():
    return rsc_mm.load(REPOSITORY / 'projects/shapes_clip/shapes_clip.pt', device='cpu')


def plain():
    return dict(boxes=BOXES, scores=SCORES, labels=LABELS)


def test_against_a_slow_version(model):
    found = rescore(model, plain(), IMAGE, NAMES, alpha=0.2, beta=0.7, base=['circle'])['scores']
    for i in range(3):
        clip = model.classify_regions(IMAGE, BOXES[i], NAMES).scores[0, LABELS[i]]
        share = 0.2 if NAMES[LABELS[i]] == 'circle' else 0.7
        assert found[i] == pytest.approx(SCORES[i] ** (1 - share) * clip ** share, rel=1e-4)
    assert np.array_equal(SCORES, np.float32([0.9, 0.25, 0.5]))  # the given ones stay


def test_limits(model):
    assert np.allclose(rescore(model, plain(), IMAGE, NAMES, alpha=0, beta=0)['scores'], SCORES)
    clip = model.classify_regions(IMAGE, BOXES, NAMES).scores[np.arange(3), LABELS]
    assert np.allclose(rescore(model, plain(), IMAGE, NAMES, alpha=1, beta=1)['scores'], clip, atol=1e-6)


def test_every_kind_gives_its_kind(model):
    expected = rescore(model, plain(), IMAGE, NAMES)['scores']
    boxes, scores, labels = rescore(model, (BOXES.tolist(), SCORES.tolist(), LABELS.tolist()), IMAGE, NAMES)
    assert scores == pytest.approx(expected.tolist()) and boxes == BOXES.tolist() and labels == LABELS.tolist()


def test_detections_of_supervision(model):
    supervision = pytest.importorskip('supervision', reason='supervision is not installed ([draw])')
    given = supervision.Detections(BOXES, confidence=SCORES.astype(np.float64), class_id=LABELS,
                                   mask=np.zeros((3, 4, 4), bool), data={'class_name': np.array(['a', 'b', 'c'])})
    found = rescore(model, given, IMAGE, NAMES)
    assert isinstance(found, supervision.Detections) and found.confidence.dtype == np.float64
    assert np.allclose(found.confidence, rescore(model, plain(), IMAGE, NAMES)['scores'])
    assert given.confidence[0] == pytest.approx(0.9) and found.mask is given.mask
    best = found[found.confidence == found.confidence.max()]  # it works on as a result of supervision does
    assert len(best) == 1 and best.data['class_name'].tolist() == [['a', 'b', 'c'][found.confidence.argmax()]]


def test_results_go_on_to_supervision(model):
    supervision = pytest.importorskip('supervision', reason='supervision is not installed ([draw])')
    named = model.classify_regions(IMAGE, BOXES, NAMES)
    found = named.to_supervision()
    assert np.array_equal(found.xyxy, BOXES) and found.class_id.tolist() == named.labels.tolist()
    assert found.data['class_name'].tolist() == named.names and np.allclose(found.confidence, named.scores.max(axis=1))
    drawn = supervision.BoxAnnotator(color_lookup=supervision.ColorLookup.INDEX).annotate(named.image.copy(), found)
    changed = (drawn != named.image).any(axis=2)
    assert changed[40, 10] and changed[20, 40] and not changed[100:].any()  # on the sides of the first box
    assert np.allclose(rescore(model, found, IMAGE, NAMES, alpha=1, beta=1).confidence, found.confidence, atol=1e-5)

    masks = np.zeros((2, *named.image.shape[:2]), bool)
    masks[0, 20:60, 10:50], masks[1, 3, 5] = True, True  # the second covers no token
    named = model.classify_regions(IMAGE, masks, NAMES)
    found = named.to_supervision()
    assert found.xyxy.tolist() == [[10, 20, 50, 60], [5, 3, 6, 4]] and np.array_equal(found.mask, masks)
    assert found.class_id.tolist() == [named.labels[0], -1]
    assert found.data['class_name'].tolist() == [named.names[0], '']

    detections = Detections(named.image, BOXES, SCORES, LABELS, NAMES, np.ones(3, bool))
    found = detections.to_supervision()
    assert found.data['class_name'].tolist() == ['heart', 'circle', 'star'] and found.mask is None
    assert np.array_equal(found.confidence, SCORES)


def test_without_supervision_it_says_how(model, monkeypatch):
    monkeypatch.setitem(sys.modules, 'supervision', None)
    with pytest.raises(ImportError, match=r"to_supervision\(\) needs supervision, .* pip install -e '.\[draw\]'"):
        model.classify_regions(IMAGE, BOXES, NAMES).to_supervision()


def test_results_of_mmdet(model):
    structures = pytest.importorskip('mmdet.structures')
    from mmengine.structures import InstanceData
    sample = structures.DetDataSample(metainfo=dict(img_id=3))
    sample.pred_instances = InstanceData(bboxes=torch.from_numpy(BOXES), scores=torch.from_numpy(SCORES.copy()),
                                         labels=torch.from_numpy(LABELS))
    found = rescore(model, sample, IMAGE, NAMES)
    assert found.img_id == 3 and torch.equal(found.pred_instances.bboxes, sample.pred_instances.bboxes)
    assert np.allclose(found.pred_instances.scores.numpy(), rescore(model, plain(), IMAGE, NAMES)['scores'])
    assert np.allclose(sample.pred_instances.scores.numpy(), SCORES)


def test_none_and_boxes_outside(model):
    empty = dict(boxes=np.zeros((0, 4)), scores=np.zeros(0), labels=np.zeros(0, int))
    assert rescore(model, empty, IMAGE, NAMES)['scores'].shape == (0, )
    far = dict(boxes=np.array([[5000., 10, 6000, 20], BOXES[0]]), scores=np.array([0.9, 0.9]), labels=np.array([2, 2]))
    found = rescore(model, far, IMAGE, NAMES)['scores']
    assert found[0] == 0 and found[1] == pytest.approx(rescore(model, plain(), IMAGE, NAMES)['scores'][0])


def test_bad_detections_are_named(model):
    with pytest.raises(TypeError, match=r"found dict without any of \('scores', 'confidence'\)"):
        rescore(model, dict(boxes=BOXES, labels=LABELS), IMAGE, NAMES)
    with pytest.raises(ValueError, match='found 3 boxes, 2 scores and 3 labels'):
        rescore(model, dict(plain(), scores=SCORES[:2]), IMAGE, NAMES)
    with pytest.raises(ValueError, match='found the labels 0 to 2, expected 0 to 1, one for each of the 2 names'):
        rescore(model, plain(), IMAGE, NAMES[:2])
