import numpy as np
import pytest
from PIL import Image

from rsc_mm.evaluation import PanopticMeanIoU, PanopticQuality, match_segments, mean_qualities

NOTHING = 2  # of two classes


def grid(text):
    return np.array([[int(pixel) for pixel in row.split()] for row in text.strip().splitlines()])


def test_a_perfect_prediction():
    true = grid('5 5 7 7\n5 5 7 7')
    counts = match_segments(np.where(true == 5, 1000, 1), true, [(5, 0, False), (7, 1, False)], 2)
    np.testing.assert_array_equal(counts, [[1, 1], [1, 1], [0, 0], [0, 0]])
    assert mean_qualities(counts) == (100, 100, 100)


def test_iou_of_three_quarters_and_of_one_half():
    true = grid('5 5 5 5')
    counts = match_segments(grid('0 0 0 2'), true, [(5, 0, False)], 2)
    np.testing.assert_array_equal(counts[:, 0], [0.75, 1, 0, 0])
    counts = match_segments(grid('0 0 2 2'), true, [(5, 0, False)], 2)  # exactly 1/2 does not match
    np.testing.assert_array_equal(counts[:, 0], [0, 0, 1, 1])


def test_another_class_never_matches():
    counts = match_segments(grid('1 1 1 1'), grid('5 5 5 5'), [(5, 0, False)], 2)
    np.testing.assert_array_equal(counts, [[0, 0], [0, 0], [0, 1], [1, 0]])


def test_unannotated_pixels_do_not_count_in_the_union():
    # 2 right, 2 on unannotated pixels: IoU 2 / 2 instead of 2 / 4.
    counts = match_segments(grid('0 0 0 0'), grid('5 5 0 0'), [(5, 0, False)], 2)
    np.testing.assert_array_equal(counts[:, 0], [1, 1, 0, 0])


def test_a_prediction_mostly_on_unannotated_pixels_is_no_error():
    true = grid('0 0 0 5')
    np.testing.assert_array_equal(match_segments(grid('1 1 1 1'), true, [(5, 0, False)], 2)[2], [0, 0])
    true = grid('0 0 5 5')  # exactly half is wrong
    np.testing.assert_array_equal(match_segments(grid('1 1 1 1'), true, [(5, 0, False)], 2)[2], [0, 1])


def test_a_crowd_is_never_missed_and_excuses_its_class_only():
    true = grid('5 5 5 5')
    for label, wrong in ((0, [0, 0]), (1, [0, 1])):
        counts = match_segments(np.full((1, 4), label), true, [(5, 0, True)], 2)
        np.testing.assert_array_equal(counts[2], wrong)
        assert not counts[3].any() and not counts[1].any()


def test_two_instances_of_a_class():
    counts = match_segments(grid('1000 1000 2000 2000'), grid('5 5 6 6'), [(5, 0, False), (6, 0, False)], 2)
    np.testing.assert_array_equal(counts[:, 0], [2, 2, 0, 0])
    counts = match_segments(grid('1000 1000 1000 1000'), grid('5 5 5 6'), [(5, 0, False), (6, 0, False)], 2)
    np.testing.assert_array_equal(counts[:, 0], [0.75, 1, 0, 1])


def test_against_a_slow_version():
    generator = np.random.default_rng(0)
    for _ in range(20):
        true = generator.integers(0, 5, (6, 6)).repeat(2, 0).repeat(2, 1)
        found = np.where(generator.random((12, 12)) < 0.8, np.array([0, 1001, 1, 2, 2001])[true], 1)
        segments = [(1, 1, False), (2, 1, False), (3, 0, True)]  # 0 and 4 are not annotated
        np.testing.assert_allclose(match_segments(found, true, segments, 2), slow(found, true, segments))


def slow(found, true, segments):
    counts = np.zeros((4, 2))
    void = ~np.isin(true, [number for number, _, _ in segments])
    matched = set()
    for number, label, crowd in segments:
        mask, hit = true == number, False
        if crowd or not mask.any():
            continue
        for p in np.unique(found):
            other = found == p
            iou = (mask & other).sum() / ((mask | other) & ~(other & void)).sum()
            if p % 1000 == label and iou > 0.5:
                counts[:2, label] += iou, 1
                matched.add(p)
                hit = True
        counts[3, label] += not hit
    for p in set(np.unique(found)) - matched:
        if p % 1000 < 2:
            other = found == p
            excuse = void | np.isin(true, [number for number, label, crowd in segments if crowd and label == p % 1000])
            counts[2, p % 1000] += (other & excuse).sum() <= other.sum() / 2
    return counts


def test_wrong_input_is_named():
    with pytest.raises(ValueError, match=r'found a prediction of \(1, 2\), expected the annotation of'):
        match_segments(grid('0 0'), grid('5 5 5'), [(5, 0, False)], 2)
    with pytest.raises(ValueError, match='found the label 2, expected 0 to 1'):
        match_segments(grid('0 0'), grid('5 5'), [(5, 2, False)], 2)


def test_the_metric_sums_images_and_reports_groups(tmp_path):
    metric = PanopticQuality(groups=dict(novel=['sky']))
    metric.dataset_meta = dict(classes=('dog', 'sky'), num_things=1)
    Image.fromarray(np.array([[[5, 0, 0]] * 4], np.uint8)).save(tmp_path / 'a.png')
    for found, label in (('1000 1000 1000 2', 0), ('1 1 1 1', 1)):
        metric.process(None, [dict(pred_panoptic_seg=dict(sem_seg=tensor(found)), seg_map_path=str(tmp_path / 'a.png'),
                                   segments=[(5, label, False)])])
    assert metric.evaluate(2) == {'panoptic/PQ': 87.5, 'panoptic/SQ': 87.5, 'panoptic/RQ': 100.0,
                                  'panoptic/PQ_things': 75.0, 'panoptic/PQ_stuff': 100.0, 'panoptic/PQ_novel': 100.0}
    metric.groups = dict(novel=['cat'])
    metric.results = [np.zeros((4, 2))]
    with pytest.raises(ValueError, match=r"groups\['novel'\]: found \['cat'\]"):
        metric.evaluate(1)


def test_mean_iou_against_segments(tmp_path):
    pixels = [[[number, 0, 0] for number in (5, 5, 6, 7, 8)]]
    Image.fromarray(np.array(pixels, np.uint8)).save(tmp_path / 'a.png')
    sample = dict(pred_sem_seg=dict(data=tensor('0 1 1 1 0')), seg_map_path=str(tmp_path / 'a.png'),
                  segments=[(5, 0, False), (6, 1, False), (7, 0, True)])  # 8 is not listed
    metric = PanopticMeanIoU(per_class=False)
    metric.dataset_meta = dict(classes=('dog', 'sky'))
    metric.process(None, [sample])
    found = metric.evaluate(1)  # dog: 1 of 3 pixels, none wrong; sky: 1 right of 3 predicted
    assert found['semantic/mIoU'] == pytest.approx(100 / 3) and found['semantic/aAcc'] == 50
    del sample['pred_sem_seg']
    with pytest.raises(ValueError, match=r"found no 'pred_sem_seg' for .*a.png, expected a model with 'test_cfg.sem"):
        metric.process(None, [sample])


def tensor(text):
    import torch
    return torch.from_numpy(grid(text))[None]
