"""An exported F-ViT detects what `FViT.predict` detects, with the vocabulary as an input."""
import json
import math

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from PIL import Image
from torchvision.ops import batched_nms

from rsc_mm.apis.detection import Detector
from rsc_mm.apis.export import DetectorGraph, export, onnx_file, open_file
from rsc_mm.apis.export.agreement import Agreement, compare_detections
from rsc_mm.apis.export.detector import best, suppress

pytest.importorskip('mmdet', reason='mmdet is not installed')
pytest.importorskip('onnxruntime', reason='the extra [export] is not installed')


@pytest.fixture(scope='module')
def detector():
    from rsc_mm.registry import MODELS
    from tests.test_models.test_detectors.tiny import tiny_config
    from tests.towers import randomize
    config = tiny_config(pad=64)
    config.rpn_head.num_convs = config.roi_head.bbox_head.num_shared_convs = 1
    config.test_cfg.rpn.update(nms_pre=50, max_per_img=30)
    config.test_cfg.rcnn.max_per_img = 20
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmdet'):
        model = MODELS.build(config)
        model.init_weights()
    randomize(model.backbone, 0)
    torch.nn.init.normal_(model.rpn_head.rpn_cls.weight, std=0.5)  # proposals that differ
    torch.nn.init.normal_(model.rpn_head.rpn_reg.weight, std=0.2)
    return model.eval()


@pytest.fixture(scope='module')
def exported(detector, tmp_path_factory):
    graph, out = DetectorGraph(detector), tmp_path_factory.mktemp('onnx') / 'detector.onnx'
    return graph, out, export(graph, out)


@torch.no_grad()
@pytest.mark.parametrize('size', [(128, 128), (100, 181), (230, 70)])
def test_the_graph_is_the_detectors_own_prediction(detector, size):
    from tests.test_models.test_detectors.tiny import batch
    with DefaultScope.overwrite_default_scope('mmdet'):
        prepared = batch(detector, [size], [[0]], training=False)
        found = detector.predict(prepared['inputs'], prepared['data_samples'], rescale=False)[0].pred_instances
    generator = torch.Generator().manual_seed(1)
    bgr = torch.randint(0, 256, (3, *size), generator=generator, dtype=torch.uint8)
    graph = DetectorGraph(detector).eval()
    boxes, scores, labels = graph(bgr.flip(0)[None].float(), *graph.example(1, 1, 1)[1:])
    count = len(found)
    assert 0 < count <= 20 and (labels >= 0).sum() == count
    torch.testing.assert_close(scores[:count], found.scores, rtol=0, atol=1e-5)
    torch.testing.assert_close(boxes[:count], found.bboxes, rtol=0, atol=1e-3)
    assert torch.equal(labels[:count], found.labels)
    assert (scores[count:] == 0).all() and (labels[count:] == -1).all() and (boxes[count:] == 0).all()


@pytest.mark.slow
def test_onnxruntime_detects_the_same_on_three_shapes(exported):
    graph, out, differences = exported
    assert len(differences) == 3 and max(differences.values()) < 1e-3
    for size in ((128, 128), (101, 180), (65, 200)):
        values = graph.example(1, *size)
        ours, theirs = onnx_file.call(graph, values), onnx_file.run(out, graph, values)
        assert graph.difference(theirs, ours) < 1e-3 and (ours[1] > 0).any()


PIPELINE = [
    dict(type='LoadImageFromFile'), dict(type='Resize', scale=(128, 128), keep_ratio=True),
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor'))]


@pytest.fixture
def photos(tmp_path):
    for i, shape in enumerate(((60, 90, 3), (128, 100, 3))):
        pixels = np.random.default_rng(i).integers(0, 256, shape, dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f'{i}.png')
    return [tmp_path / '0.png', tmp_path / '1.png']


@pytest.fixture
def ready(detector):
    """The detector with its test pipeline."""
    return Detector(detector, Config(dict(default_scope='mmdet',
                                          test_dataloader=dict(dataset=dict(pipeline=PIPELINE)))))


def test_the_graph_agrees_on_images(ready, photos):
    """Resized and coloured as the detector's own pipeline does it."""
    graph = DetectorGraph(ready.model).eval()
    found = compare_detections(ready, graph, lambda values: onnx_file.call(graph, values), photos, score=0.01)
    assert found.images == 2 and 0 < found.expected == found.found == found.same <= 40
    assert found.score < 1e-5 and found.box < 1e-3
    blind = compare_detections(ready, graph, lambda values: onnx_file.call(graph, (255 - values[0], *values[1:])),
                               photos, score=0.01)
    assert blind.expected == found.expected and blind.same < found.same


@pytest.mark.slow
def test_the_file_agrees_on_images(ready, exported, photos):
    graph, out, _ = exported
    found = compare_detections(ready, graph, open_file(out, graph), photos, score=0.01)
    assert found.expected == found.same and found.score < 1e-3 and found.box < 1e-2


def test_agreement_by_hand():
    boxes, scores = torch.tensor([[0., 0, 10, 10], [20, 20, 40, 40], [5, 5, 9, 9]]), torch.tensor([0.9, 0.5, 0.3])
    labels = torch.tensor([0, 1, 1])
    found = Agreement()
    found.add((boxes, scores, labels), (boxes[[1, 0]] + 0.01, torch.tensor([0.25, 0.9]), torch.tensor([1, 2])))
    assert (found.images, found.expected, found.found, found.same) == (1, 3, 2, 1)  # the first has another class
    assert found.score == 0.25 and found.box == pytest.approx(0.01, abs=1e-5)
    found.add((boxes[:0], scores[:0], labels[:0]), (boxes, scores, labels))
    assert (found.images, found.expected, found.found, found.same) == (2, 3, 5, 1)
    assert str(found).startswith('2 images: the model finds 3 objects, the file 5, 1 of them the same; scores differ')


def test_difference_of_detections_by_hand(detector):
    graph = DetectorGraph(detector)
    boxes = torch.arange(10.)[:, None] * 100 + torch.tensor([0., 0, 20, 10])  # (10, 4), apart
    scores, labels = torch.linspace(0.9, 0.5, 10), torch.arange(10) % 3
    order = torch.randperm(10, generator=torch.Generator().manual_seed(0))
    assert graph.difference((boxes[order], scores[order], labels[order]), (boxes, scores, labels)) == 0
    moved, worse = boxes.clone(), scores.clone()
    moved[3, 2] += 0.1
    assert graph.difference((moved, scores, labels), (boxes, scores, labels)) == pytest.approx(0.1 / 20, rel=1e-3)
    worse[0] -= 0.3
    assert graph.difference((moved, worse, labels), (boxes, scores, labels)) == pytest.approx(0.3)
    assert math.isnan(graph.difference((boxes, scores * math.nan, labels), (boxes, scores, labels)))
    moved[5], worse[5] = 0, 0  # one of ten was not found: the rest is filled
    absent = torch.where(torch.arange(10) == 5, -1, labels)
    assert graph.difference((moved, worse, absent), (boxes, scores, labels)) == pytest.approx(0.3)
    assert graph.difference((moved, worse, (labels + 1) % 3), (boxes, scores, labels)) == float('inf')
    absent[6] = -1
    assert graph.difference((moved, worse, absent), (boxes, scores, labels)) == float('inf')
    assert graph.difference((boxes, scores, labels), (moved, worse, absent)) == float('inf')
    none = torch.full_like(labels, -1)
    assert graph.difference((boxes, scores, none), (moved, worse, none)) == 0


@pytest.mark.slow
def test_other_names_are_another_input(exported):
    import onnx
    graph, out, _ = exported
    images = graph.example(1, 96, 150)[0]
    for count in (2, 9):  # one name, eight names
        words = torch.nn.functional.normalize(torch.randn(count, 24), dim=1)
        values = (images, words, torch.arange(count) % 2 == 0)
        ours, theirs = onnx_file.call(graph, values), onnx_file.run(out, graph, values)
        assert graph.difference(theirs, ours) < 1e-3
        assert ours[2].max() < count - 1  # never the background
    meta = json.loads({entry.key: entry.value for entry in onnx.load(out).metadata_props}['rsc_mm'])
    assert meta['classes'] == ['cat', 'dog', 'red umbrella', 'kite'] and meta['detections'] == 20
    assert 'the last row, of the background' in meta['inputs']['text_embeddings']


def test_suppression_is_torchvisions_with_a_fixed_number_of_rows():
    generator = torch.Generator().manual_seed(0)
    corners = torch.rand(60, 2, generator=generator) * 40
    boxes = torch.cat([corners, corners + 5 + torch.rand(60, 2, generator=generator) * 20], dim=1)
    scores, groups = torch.rand(60, generator=generator), torch.randint(0, 3, (60, ), generator=generator)
    expected = batched_nms(boxes, scores, groups, 0.4)
    for count in (5, 100):
        rows, there = suppress(boxes, scores, groups, 0.4, count)
        assert len(rows) == count and torch.equal(rows[there], expected[:count])


def test_best_has_a_fixed_number_of_rows():
    scores = torch.tensor([0.2, 0.9, 0.5])
    assert [part.tolist() for part in best(scores, 2)] == [pytest.approx([0.9, 0.5]), [1, 2]]
    values, rows = best(scores, 5)
    assert values.tolist() == pytest.approx([0.9, 0.5, 0.2, -1, -1]) and rows.tolist() == [1, 2, 0, 2, 2]


def test_what_cannot_be_exported_is_named(detector):
    divisor, detector.data_preprocessor.pad_size_divisor = detector.data_preprocessor.pad_size_divisor, 32
    with pytest.raises(ValueError, match='pad_size_divisor=32, expected a multiple of 64, the coarsest stride'):
        DetectorGraph(detector)
    detector.data_preprocessor.pad_size_divisor = divisor
    nms = detector.test_cfg.rcnn.nms
    nms.type = 'soft_nms'
    with pytest.raises(ValueError, match=r"found test_cfg.rcnn.nms.type='soft_nms', expected 'nms'"):
        DetectorGraph(detector)
    nms.type = 'nms'
