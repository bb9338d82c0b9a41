import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from pycocotools import mask as mask_utils

from rsc_mm.evaluation.federated_ap import federated_ap
from rsc_mm.evaluation.ov_detection import LVISDetectionMetric, summarise_ap

# Two classes with one 10 x 10 object each in image 1. 'wok' is known to be absent from image 2; nothing is known of
# 'bun' there, and 'bun' is not annotated exhaustively in image 1.
CONTENT = {
    'images': [{'id': 1, 'height': 50, 'width': 50, 'neg_category_ids': [], 'not_exhaustive_category_ids': [9]},
               {'id': 2, 'height': 50, 'width': 50, 'neg_category_ids': [4], 'not_exhaustive_category_ids': []}],
    'annotations': [
        {'id': 1, 'image_id': 1, 'category_id': 4, 'bbox': [0, 0, 10, 10], 'area': 100,
         'segmentation': [[0, 0, 10, 0, 10, 10, 0, 10]]},
        {'id': 2, 'image_id': 1, 'category_id': 9, 'bbox': [20, 20, 10, 10], 'area': 100,
         'segmentation': [[20, 20, 30, 20, 30, 30, 20, 30]]}],
    'categories': [{'id': 4, 'name': 'wok', 'frequency': 'f'}, {'id': 9, 'name': 'bun', 'frequency': 'r'}],
}


def boxes(*rows: tuple) -> list[dict]:
    """Detections of (image, category, score, x, y, width, height)."""
    return [{'image_id': image, 'category_id': category, 'score': score, 'bbox': box}
            for image, category, score, *box in rows]


def ap50(detections: list[dict]) -> list[float]:
    return federated_ap(CONTENT, detections, 'bbox')[:, 0, 0].round(9).tolist()


def test_by_hand():
    assert ap50(boxes((1, 4, 0.9, 0, 0, 10, 10))) == [1, 0]
    # A false box of the class above it halves the precision; below it changes nothing.
    assert ap50(boxes((1, 4, 0.5, 0, 0, 10, 10), (1, 4, 0.9, 30, 30, 5, 5)))[0] == 0.5
    assert ap50(boxes((1, 4, 0.5, 0, 0, 10, 10), (1, 4, 0.1, 30, 30, 5, 5)))[0] == 1
    # IoU 0.8: right up to the threshold 0.8, so at 7 of 10 thresholds.
    ap = federated_ap(CONTENT, boxes((1, 4, 0.9, 0, 0, 10, 8)), 'bbox')[0, :, 0]
    assert ap.round(9).tolist() == [1] * 7 + [0] * 3


def test_federated_by_hand():
    right = (1, 4, 0.5, 0, 0, 10, 10), (1, 9, 0.5, 20, 20, 10, 10)
    assert ap50(boxes(*right, (2, 4, 0.9, 0, 0, 5, 5)))[0] == 0.5  # known to be absent
    assert ap50(boxes(*right, (2, 9, 0.9, 0, 0, 5, 5))) == [1, 1]  # nothing is known
    assert ap50(boxes(*right, (1, 9, 0.9, 0, 0, 5, 5))) == [1, 1]  # not exhaustive
    assert ap50([]) == [0, 0]


def test_areas_and_groups():
    ap = federated_ap(CONTENT, boxes((1, 4, 0.9, 0, 0, 10, 10)), 'bbox')
    assert np.isnan(ap[:, :, 2:]).all() and np.allclose(ap[0, :, 1], 1)
    summary = summarise_ap(ap, CONTENT['categories'])
    assert {name: summary[name] for name in ('AP', 'AP50', 'APs', 'APr', 'APf')} == pytest.approx(
        {'AP': 0.5, 'AP50': 0.5, 'APs': 0.5, 'APr': 0, 'APf': 1})
    assert np.isnan([summary['APc'], summary['APm'], summary['APl']]).all()


def random_world(seed: int, images: int = 12, classes: int = 6) -> tuple[dict, list[dict]]:
    """Annotations of all sizes and noisy detections with equal scores among them, for boxes and masks."""
    rng = np.random.default_rng(seed)
    content = {'images': [], 'annotations': [], 'categories': [
        {'id': 3 * i + 2, 'name': f'c{i}', 'frequency': 'rcf'[i % 3]} for i in range(classes)]}
    ids = [category['id'] for category in content['categories']]
    detections = []
    for image in range(images):
        absent, partial = (sorted(rng.choice(ids, 2, replace=False).tolist()) for _ in range(2))
        content['images'].append({'id': image, 'height': 200, 'width': 200, 'neg_category_ids': absent,
                                  'not_exhaustive_category_ids': partial})
        for _ in range(rng.integers(0, 9)):
            x, y, w, h = box = [int(v) for v in (*rng.integers(0, 60, 2), *rng.integers(4, 140, 2))]
            category = int(rng.choice([i for i in ids if i not in absent]))
            content['annotations'].append({
                'id': len(content['annotations']) + 1, 'image_id': image, 'category_id': category, 'bbox': box,
                'area': w * h, 'segmentation': [[x, y, x + w, y, x + w, y + h, x, y + h]]})
            for _ in range(rng.integers(0, 4)):
                detections.append((image, category, (np.array(box) + rng.integers(-4, 5, 4)).clip(1)))
        for _ in range(rng.integers(0, 9)):
            detections.append((image, int(rng.choice(ids)), rng.integers(1, 60, 4)))
    rows = []
    for image, category, (x, y, w, h) in detections:
        mask = np.zeros((200, 200), np.uint8, order='F')
        mask[y:y + h, x:x + w] = 1
        rows.append({'image_id': image, 'category_id': category, 'score': float(rng.integers(1, 12)) / 12,
                     'bbox': [float(v) for v in (x, y, w, h)], 'segmentation': mask_utils.encode(mask)})
    return content, rows


@pytest.mark.parametrize('kind', ['bbox', 'segm'])
@pytest.mark.parametrize('seed', range(3))
def test_like_the_official_code(monkeypatch, tmp_path, kind, seed):
    lvis = pytest.importorskip('lvis')
    monkeypatch.setattr(np, 'float', float, raising=False)  # what lvis 0.5.3 lacks since NumPy 1.24
    content, rows = random_world(seed)
    key = 'bbox' if kind == 'bbox' else 'segmentation'
    rows = [{k: row[k] for k in ('image_id', 'category_id', 'score', key)} for row in rows]
    (tmp_path / 'gt.json').write_text(json.dumps(content))
    found = copy.deepcopy(rows)
    for row in found if kind == 'segm' else ():
        row[key]['counts'] = row[key]['counts'].decode()
    (tmp_path / 'found.json').write_text(json.dumps(found))
    truth = lvis.LVIS(str(tmp_path / 'gt.json'))
    official = lvis.LVISEval(truth, lvis.LVISResults(truth, str(tmp_path / 'found.json')), kind)
    official.run()
    precision = official.eval['precision']
    ap = federated_ap(content, rows, kind)
    expected = np.where(precision.max(1) < 0, np.nan, precision.mean(1)).transpose(1, 0, 2)
    np.testing.assert_allclose(ap, expected, atol=1e-12)
    assert 0.05 < np.nanmean(ap) < 0.95
    summary = summarise_ap(ap, content['categories'])
    for name, value in official.get_results().items():
        if name in summary:
            assert summary[name] == pytest.approx(value, abs=1e-12, nan_ok=True) or value == -1


def test_only_300_detections_of_an_image_count():
    rows = boxes(*[(1, 4, 0.9, 40, 40, 5, 5)] * 300, (1, 9, 0.5, 20, 20, 10, 10))
    assert ap50(rows)[1] == 0 and ap50(rows[1:])[1] == 1


def metric(path: Path, classes: tuple[str, ...], **options: object) -> LVISDetectionMetric:
    path.write_text(json.dumps(CONTENT))
    made = LVISDetectionMetric(str(path), **options)
    made.dataset_meta = {'classes': classes}
    return made


def sample() -> dict:
    masks = torch.zeros(2, 50, 50, dtype=torch.bool)
    masks[0, :10, :10] = masks[1, 20:30, 20:30] = True
    return {'img_id': 1, 'pred_instances': {
        'bboxes': torch.tensor([[0., 0, 10, 10], [20, 20, 30, 30]]), 'scores': torch.tensor([0.9, 0.8]),
        'labels': torch.tensor([0, 1]), 'masks': masks}}


def test_metric_reads_detections(tmp_path):
    perfect = metric(tmp_path / 'gt.json', ('wok', 'bun'), per_class=True)
    perfect.process({}, [sample()])
    values = perfect.evaluate(1)
    assert [values[f'lvis/{kind}_{name}'] for kind in ('bbox', 'segm') for name in ('AP', 'APr', 'APf')] == (
        pytest.approx([100] * 6))
    assert set(values) == {f'lvis/{kind}_AP{part}' for kind in ('bbox', 'segm')
                           for part in ('', '50', '75', 's', 'm', 'l', 'r', 'c', 'f')}


def test_bad_input(tmp_path):
    with pytest.raises(ValueError, match='LVISDetectionMetric.metric: found mask, expected'):
        LVISDetectionMetric('gt.json', 'mask')
    other = metric(tmp_path / 'gt.json', ('bun', 'wok'), metric='bbox')
    with pytest.raises(ValueError, match="classes: found 2 classes with 'bun' at label 0, .* with 'wok' there"):
        other.process({}, [sample()])  # at the first batch


@pytest.mark.parametrize('spelling', ['stero', 'stereo'])
def test_official_spelling(tmp_path, monkeypatch, spelling):
    """The official file misspells a name that mmdet corrects; its labels are the file's all the same."""
    content = copy.deepcopy(CONTENT)
    content['categories'][0]['name'] = f'speaker_({spelling}_equipment)'
    monkeypatch.setitem(globals(), 'CONTENT', content)
    found = metric(tmp_path / 'gt.json', ('speaker_(stereo_equipment)', 'bun'), metric='bbox')
    found.process({}, [sample()])
    assert found.evaluate(1)['lvis/bbox_AP'] == pytest.approx(100)


def test_a_group_without_annotations_is_absent(tmp_path, monkeypatch):
    lines = []
    monkeypatch.setattr('rsc_mm.evaluation.ov_detection.print_log', lambda line, *args: lines.append(line))
    found = metric(tmp_path / 'gt.json', ('wok', 'bun'), metric='bbox')
    found.process({}, [sample()])
    assert np.isnan(found.evaluate(1)['lvis/bbox_APc'])
    assert lines == ['bbox AP of common classes: absent, found no annotation']
