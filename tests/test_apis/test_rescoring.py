from dataclasses import dataclass

import numpy as np
import pytest
import torch

import rsc_mm
from rsc_mm.apis.rescoring import rescore
from tests.test_tools.common import REPOSITORY

NAMES = ['circle', 'star', 'heart']
IMAGE = REPOSITORY / 'projects/shapes_clip/scene.jpg'
BOXES = np.array([[10, 20, 60, 70], [30, 5, 90, 50], [2, 2, 40, 40]], np.float32)
SCORES, LABELS = np.array([0.9, 0.25, 0.5], np.float32), np.array([2, 0, 1])


@dataclass
class SupervisionDetections:
    """The fields of supervision.Detections."""

    xyxy: np.ndarray
    confidence: np.ndarray
    class_id: np.ndarray
    mask: np.ndarray | None = None


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
    given = SupervisionDetections(BOXES, SCORES.astype(np.float64), LABELS, mask=np.zeros((3, 4, 4), bool))
    found = rescore(model, given, IMAGE, NAMES)
    assert np.allclose(found.confidence, expected) and found.confidence.dtype == np.float64
    assert given.confidence[0] == pytest.approx(0.9) and found.mask is given.mask


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
