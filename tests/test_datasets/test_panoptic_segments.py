import json

import numpy as np
import pytest

pytest.importorskip('mmdet')

from rsc_mm.datasets.panoptic import LoadPanopticSegments, PanopticSegmentDataset  # noqa: E402

THINGS = ('circle', 'square', 'triangle', 'star', 'heart', 'ring', 'cross', 'crescent', 'arrow', 'hourglass')


def dataset(root, **fields):
    return PanopticSegmentDataset(ann_file='annotations/panoptic_val.json', data_root=str(root), pipeline=[],
                                  data_prefix=dict(img_path='val', seg_map_path='panoptic_val'), **fields)


def test_things_first_and_every_segment(shapes_root):
    data = dataset(shapes_root)
    assert data.metainfo['classes'][:10] == THINGS and data.metainfo['num_things'] == 10
    raw = json.loads((shapes_root / 'annotations/panoptic_val.json').read_text())
    names = {category['id']: category['name'] for category in raw['categories']}
    for entry, annotation in zip(data, raw['annotations']):
        found = [(number, data.metainfo['classes'][label], crowd) for number, label, crowd in entry['segments']]
        assert found == [(s['id'], names[s['category_id']], False) for s in annotation['segments_info']]


def test_mixed_ids_are_put_in_order_and_crowds_are_known(shapes_root, tmp_path):
    raw = json.loads((shapes_root / 'annotations/panoptic_val.json').read_text())
    for category in raw['categories']:
        category['isthing'] = int(category['name'] in ('clouds', 'ring'))  # ids 18 and 6
    raw['annotations'][0]['segments_info'][0]['iscrowd'] = 1
    path = tmp_path / 'mixed.json'
    path.write_text(json.dumps(raw))
    data = PanopticSegmentDataset(ann_file=str(path), pipeline=[], data_prefix=dict(
        img_path=str(shapes_root / 'val'), seg_map_path=str(shapes_root / 'panoptic_val')))
    assert data.metainfo['classes'][:3] == ('ring', 'clouds', 'circle') and data.metainfo['num_things'] == 2
    assert [crowd for _, _, crowd in data[0]['segments']][:2] == [True, False]


def test_held_out_classes_have_no_segments(shapes_root):
    kept = [name for name in dataset(shapes_root).metainfo['classes'] if name not in ('heart', 'cross')]
    data = dataset(shapes_root, classes=kept)
    assert data.metainfo['classes'] == tuple(kept) and data.metainfo['num_things'] == 8
    assert sum(len(entry['segments']) for entry in data) < sum(len(e['segments']) for e in dataset(shapes_root))
    with pytest.raises(ValueError, match=r"field 'classes': found \['dog'\], expected names of the 18"):
        dataset(shapes_root, classes=['dog'])


def test_masks_are_those_of_the_png(shapes_root):
    entry = dict(dataset(shapes_root)[0])
    entry['ori_shape'] = (entry['height'], entry['width'])
    crowd = entry['segments'][0]
    entry['segments'] = [(*crowd[:2], True), *entry['segments'][1:]]
    results = LoadPanopticSegments().transform(dict(entry))
    assert results['gt_bboxes_labels'].tolist() == [label for _, label, crowd in entry['segments'][1:]]
    masks = results['gt_masks'].masks
    assert len(masks) == len(entry['segments']) - 1 and masks.sum(0).max() == 1
    boxes = results['gt_bboxes'].tensor.numpy()
    rows, columns = np.nonzero(masks[0])
    np.testing.assert_array_equal(boxes[0], [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
