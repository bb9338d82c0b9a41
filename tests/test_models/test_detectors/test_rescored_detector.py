import json
import os
import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.models.detectors import BaseDetector
from mmdet.registry import MODELS as MMDET_MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.structures import InstanceData
from PIL import Image

import rsc_mm
import rsc_mm.models.detectors  # noqa: F401  registers the detectors
from rsc_mm.apis.rescoring import rescore
from rsc_mm.registry import MODELS
from tests.test_tools.common import REPOSITORY, run_tool

COCO_MINI = Path(os.environ.get('RSC_MM_COCO_MINI', REPOSITORY.parent / 'shared' / 'coco_mini'))
CLIP = str(REPOSITORY / 'projects/shapes_clip/shapes_clip.pt')
NAMES = ['circle', 'Red_star', 'heart', 'cross']
BOXES = torch.tensor([[72., 14, 104, 44], [10, 60, 60, 110], [2, 2, 40, 40]])
SCORES, LABELS = torch.tensor([0.9, 0.25, 0.5]), torch.tensor([0, 2, 1])
KNOWN = ['red star', 'square', 'circle']


@MMDET_MODELS.register_module()
class FixedDetector(BaseDetector):
    """Finds what the meta field ``found`` of a sample holds: boxes in the pipeline's pixels, scores and labels."""

    def predict(self, batch_inputs, batch_data_samples, rescale=True):
        assert not rescale and batch_inputs.dtype == torch.float32
        self.seen = batch_inputs
        for sample in batch_data_samples:
            boxes, scores, labels = sample.found
            sample.pred_instances = InstanceData(bboxes=boxes, scores=scores, labels=labels)
        return batch_data_samples

    def loss(self, *args): ...

    def _forward(self, *args): ...

    def extract_feat(self, *args): ...


@pytest.fixture(scope='module')
def clip():
    return rsc_mm.load(CLIP, device='cpu')


@pytest.fixture(scope='module')
def scene():
    """(128, 128, 3) RGB."""
    return np.array(Image.open(REPOSITORY / 'projects/shapes_clip/scene.jpg').convert('RGB'))


def rescored(clip, names=NAMES, known=KNOWN, **fields):
    """A wrapped `FixedDetector` with the tower, names and temperature of ``clip``."""
    bases = Config.fromfile(REPOSITORY / 'configs/_base_/models/rescoring_shapes.py')
    backbone = dict(bases.clip_backbone, init_cfg=dict(type='Pretrained', checkpoint=CLIP))
    preprocessor = dict(type='DetDataPreprocessor', mean=[1., 2., 3.], std=[4., 5., 6.], bgr_to_rgb=True,
                        pad_size_divisor=32)
    nms = dict(score_thr=0., nms=dict(type='nms', iou_threshold=0.5), max_per_img=300)
    fields = {'alpha': 0.2, 'beta': 0.7, 'detector_classes': known, 'test_cfg': nms, **fields}
    model = MODELS.build(dict(
        type='rsc_mm.RescoredDetector', detector=dict(type='FixedDetector', data_preprocessor=preprocessor),
        backbone=backbone, region_preprocessor=bases.clip_preprocessor, classes=names,
        class_embeddings=clip.texts([name.lower().replace('_', ' ') for name in names]),
        clip_temperature=1 / clip.temperature, **fields))
    model.backbone.init_weights()
    return model.eval()


def item(image, boxes=BOXES, scores=SCORES, labels=LABELS, scale=(1., 1.)):
    """An image as mmdet's pipelines give it, BGR, and its sample."""
    height, width = image.shape[:2]
    sample = DetDataSample(metainfo=dict(
        img_shape=(height, width), scale_factor=scale, found=(boxes, scores, labels)))
    return torch.from_numpy(np.ascontiguousarray(image[:, :, ::-1].transpose(2, 0, 1))), sample


@torch.no_grad()
def detect(model, *items):
    inputs, samples = zip(*items)
    return [sample.pred_instances for sample in model.test_step(
        dict(inputs=list(inputs), data_samples=list(samples)))]


def by_hand(clip, image, names=NAMES, known=KNOWN, boxes=BOXES, alpha=0.2, beta=0.7):
    """{(box, class): score} of `rescore`, one pair of a box and a class after the other."""
    known = {name.replace('_', ' ') for name in known}
    words = [name.lower().replace('_', ' ') for name in names]
    expected = {}
    for k, (box, score, label) in enumerate(zip(boxes, SCORES, LABELS)):
        for c, word in enumerate(words):
            if word in known and (not known or KNOWN[label] != word):
                continue
            one = dict(boxes=box[None].numpy(), scores=score[None].numpy(), labels=np.array([c]))
            expected[k, c] = rescore(clip, one, image, words, alpha, beta, sorted(known))['scores'][0]
    return expected


def check(found, expected, boxes=BOXES):
    pairs = {}
    for box, score, label in zip(found.bboxes, found.scores, found.labels):
        k = int((boxes - box).abs().sum(dim=1).argmin())
        assert torch.allclose(boxes[k], box, atol=1e-3)
        pairs[k, int(label)] = float(score)
    assert pairs.keys() == expected.keys() and len(pairs) == len(found)
    assert all(pairs[key] == pytest.approx(expected[key], rel=1e-4, abs=1e-7) for key in expected)
    assert torch.equal(found.scores, found.scores.sort(descending=True).values)


def test_equals_the_detector_and_rescore_by_hand(clip, scene):
    model = rescored(clip)
    assert model.known.tolist() == [2, 0, -1, -1]
    found = detect(model, item(scene))[0]
    check(found, by_hand(clip, scene))
    assert len(found) == 2 + 3 * 2  # circle and star of the boxes that are called so, heart and cross of all
    rgb = torch.from_numpy(scene.astype(np.float32)).permute(2, 0, 1)
    normalised = (rgb - torch.tensor([1., 2, 3])[:, None, None]) / torch.tensor([4., 5, 6])[:, None, None]
    assert torch.allclose(model.detector.seen[0], normalised)


def test_no_name_matched_makes_the_detector_class_agnostic(clip, scene):
    names = ['heart', 'cross', 'hourglass']
    for known in (KNOWN, ()):
        model = rescored(clip, names=names, known=known)
        assert model.known.tolist() == [-1] * 3
        check(detect(model, item(scene))[0], by_hand(clip, scene, names, known=()))
    found = detect(rescored(clip, names=names, known=(), beta=0.), item(scene))[0]
    assert sorted(found.scores.tolist()) == pytest.approx(sorted(SCORES.repeat(3).tolist()))


def test_resized_and_flipped_images(clip, scene):
    large = np.array(Image.fromarray(scene[:, :96]).resize((240, 240)))  # 2.5 times as wide, 1.875 times as high
    boxes = torch.tensor([[20., 30, 90, 80], [100, 30, 230, 220], [150, 5, 239, 60]])
    original = boxes / torch.tensor([2.5, 1.875, 2.5, 1.875])
    found = detect(rescored(clip), item(large, boxes, scale=(2.5, 1.875)))[0]
    check(found, by_hand(clip, large, boxes=boxes), original)
    flipped = scene[:, ::-1].copy()
    mirrored = (128 - BOXES[:, [2, 1, 0, 3]]) * torch.tensor([1., -1, 1, -1]) + torch.tensor([0., 128, 0, 128])
    check(detect(rescored(clip), item(flipped, mirrored))[0], by_hand(clip, flipped, boxes=mirrored), mirrored)


def test_no_image_depends_on_its_batch(clip, scene):
    items = [item(scene[:, :72], boxes=BOXES[2:], scores=SCORES[2:], labels=LABELS[2:]), item(scene[:56]),
             item(scene[:, :, ::-1].copy())]
    for alone, together in zip([detect(rescored(clip), one)[0] for one in items], detect(rescored(clip), *items)):
        assert torch.equal(alone.bboxes, together.bboxes) and torch.equal(alone.labels, together.labels)
        assert torch.equal(alone.scores, together.scores)


def test_nothing_found_and_a_box_without_area(clip, scene):
    none = detect(rescored(clip), item(scene, BOXES[:0], SCORES[:0], LABELS[:0]))[0]
    assert none.bboxes.shape == (0, 4) and len(none.scores) == len(none.labels) == 0
    flat = torch.cat([BOXES[:1], torch.tensor([[128., 10, 128, 90]])])
    found = detect(rescored(clip, known=()), item(scene, flat, SCORES[:2], LABELS[:2]))[0]
    assert len(found) == 4 and torch.equal(found.bboxes, BOXES[:1].expand(4, -1))  # no feature: scores of 0


def test_a_box_under_two_labels_counts_once_for_a_novel_class(clip, scene):
    boxes = BOXES[:1].expand(2, -1)
    found = detect(rescored(clip), item(scene, boxes, torch.tensor([0.9, 0.6]), torch.tensor([0, 2])))[0]
    assert sorted(found.labels.tolist()) == [0, 1, 2, 3]
    best = detect(rescored(clip), item(scene, boxes[:1], torch.tensor([0.9]), torch.tensor([0])))[0]
    heart, = found.scores[found.labels == 2].tolist()
    assert heart == best.scores[best.labels == 2].item()


def test_bad_fields_are_named(clip, scene):
    with pytest.raises(ValueError, match="'alpha': found 1.5, expected a share in 0..1"):
        rescored(clip, alpha=1.5)
    with pytest.raises(ValueError, match=r"'classes': found \['heart'\] twice"):
        rescored(clip, names=['heart', 'cross', 'heart'])
    with pytest.raises(ValueError, match='found 2 names and the label 2 of the detector'):
        detect(rescored(clip, known=KNOWN[:2]), item(scene))
    with pytest.raises(ValueError, match="found mode='loss', expected 'predict'"):
        rescored(clip)([], [], mode='loss')


@pytest.fixture
def shapes(shapes_root, monkeypatch):
    monkeypatch.setenv('SHAPES_ROOT', str(shapes_root))
    monkeypatch.chdir(REPOSITORY)
    return shapes_root


@pytest.mark.slow
def test_the_tool_tests_a_stock_detector_with_names(shapes, tmp_path):
    """The detector's checkpoint alone; at beta = 0 every class of a box has the detector's score."""
    detector = Config.fromfile('configs/rescoring/class_agnostic_shapes.py').model
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', '.*num_anchors.* is deprecated')  # mmdet's own
        model = MMDET_MODELS.build(detector)
    model.init_weights()
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'detector.pth')
    run_tool(['tools/test.py', 'configs/rescoring/rescoring_shapes.py', str(tmp_path / 'detector.pth'), '--work-dir',
              str(tmp_path / 'run'), '--out', str(tmp_path / 'found.pkl'), '--cfg-options', 'model.beta=0',
              'model.detector.test_cfg.rpn.score_thr=0'], SHAPES_ROOT=str(shapes))
    metrics = json.loads((tmp_path / 'run/metrics.json').read_text())
    assert {'coco/base_ap50', 'coco/novel_ap50', 'coco/all_ap50'} <= metrics.keys()
    found = [row['pred_instances'] for row in pickle.loads((tmp_path / 'found.pkl').read_bytes())]
    assert len(found) == 6
    for row in found:
        counts = torch.bincount(row['labels'], minlength=10)
        assert counts.min() > 0 and counts.max() == counts.min() and len(row['scores'].unique()) <= counts[0]
    text = run_tool(['tools/test.py', 'configs/rescoring/rescoring_shapes.py', CLIP, '--work-dir',
                     str(tmp_path / 'bad')], status=1, SHAPES_ROOT=str(shapes))
    assert 'shapes_clip.pt' in text


@pytest.mark.slow
@pytest.mark.skipif(not COCO_MINI.is_dir(), reason='needs shared/coco_mini')
def test_a_stock_detector_of_coco_with_lvis_names(monkeypatch):
    """Random weights of the real configuration, on a real image: 1,203 names, those of COCO are base."""
    monkeypatch.chdir(REPOSITORY)
    config = Config.fromfile('configs/rescoring/faster_rcnn_r50_lvis_names.py').model
    config.detector.backbone.init_cfg = config.backbone.init_cfg = None
    config.detector.test_cfg.rcnn.score_thr = 0.
    config.detector.test_cfg.rcnn.max_per_img = 20
    config.region_preprocessor.image_size = 224
    config.class_embeddings = torch.randn(1203, 512, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    model = MODELS.build(config).eval()
    path = min(COCO_MINI.rglob('*.jpg'))
    picture = Image.open(path).convert('RGB')
    size = (picture.width // 3, picture.height // 3)
    scale = (size[0] / picture.width, size[1] / picture.height)
    found = detect(model, item(np.array(picture.resize(size)), scale=scale))[0]
    assert 0 < len(found) <= 300 and found.labels.max() < 1203 and found.scores.isfinite().all()
    assert (model.known >= 0).sum() == 59  # of the 80: the others are spelt another way, as 'car_(automobile)'
    assert found.bboxes[:, 2].max() <= picture.width + 1e-3 and found.bboxes[:, 2].max() > size[0]
