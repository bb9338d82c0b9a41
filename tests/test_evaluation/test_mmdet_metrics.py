import json
import math

import pytest
import torch

pytest.importorskip('mmdet')
from rsc_mm.evaluation.mmdet_metrics import OVCocoMetric, in_percent  # noqa: E402

CLASSES = ('cat', 'dog', 'sun')
META = dict(classes=CLASSES, base_classes=('cat', 'dog'), novel_classes=('sun', ))


def evaluate(tmp_path, annotated, found, **options):
    """Metrics of an image with a box for each annotated label, of which those in ``found`` are detected."""
    boxes = {label: [20. * label, 0., 20. * label + 10, 10.] for label in range(3)}
    annotations = [dict(id=i, image_id=1, category_id=label + 1, bbox=[boxes[label][0], 0, 10, 10], area=100, iscrowd=0)
                   for i, label in enumerate(annotated, 1)]
    categories = [dict(id=i, name=name) for i, name in enumerate(CLASSES, 1)]
    content = dict(images=[dict(id=1, height=40, width=80)], annotations=annotations, categories=categories)
    (tmp_path / 'gt.json').write_text(json.dumps(content))
    metric = OVCocoMetric(ann_file=str(tmp_path / 'gt.json'), metric='bbox', **options)
    metric.dataset_meta = META
    pred = dict(bboxes=torch.tensor([boxes[label] for label in found]).reshape(-1, 4), scores=torch.ones(len(found)),
                labels=torch.tensor(found, dtype=torch.long))
    metric.process({}, [dict(img_id=1, ori_shape=(40, 80), pred_instances=pred)])
    return metric.evaluate(1)


def test_percent_and_all_classes_by_hand(tmp_path):
    metrics = evaluate(tmp_path, annotated=[0, 1, 2], found=[0, 2])
    assert [metrics[f'coco/{split}_ap50'] for split in ('base', 'novel', 'all')] == pytest.approx([50, 100, 200 / 3])
    assert metrics['coco/bbox_mAP_50'] == pytest.approx(66.7)  # mmdet rounds


def test_an_absent_split_is_absent(tmp_path, monkeypatch):
    lines = []
    monkeypatch.setattr('rsc_mm.evaluation.mmdet_metrics.print_log', lambda line, *args: lines.append(line))
    metrics = evaluate(tmp_path, annotated=[0, 1], found=[0])
    assert math.isnan(metrics['coco/novel_ap50']) and math.isnan(metrics['coco/novel_ap'])
    assert (metrics['coco/base_ap50'], metrics['coco/all_ap50']) == pytest.approx((50, 50))
    assert math.isnan(metrics['coco/bbox_mAP_l'])  # no large object
    assert lines == ['novel AP: absent, found no annotation of the novel classes']
    assert not any(value < 0 for value in metrics.values())


def test_no_detection_at_all_is_zero(tmp_path):
    metrics = evaluate(tmp_path, annotated=[0, 1, 2], found=[])
    assert [metrics[f'coco/{split}_ap50'] for split in ('base', 'novel', 'all')] == [0, 0, 0]


def test_format_only_gives_files_and_no_figures(tmp_path):
    metrics = evaluate(tmp_path, [0], [0], format_only=True, outfile_prefix=str(tmp_path / 'out'))
    assert metrics == {} and len(json.loads((tmp_path / 'out.bbox.json').read_text())) == 1


def test_in_percent():
    found = in_percent({'a': 0.25, 'b': -1})
    assert found['a'] == 25 and math.isnan(found['b'])
