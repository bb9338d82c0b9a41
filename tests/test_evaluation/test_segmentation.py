import numpy as np
import pytest
import torch

from rsc_mm.evaluation.segmentation import SegmentationMetric, class_rates, count_pixels, mean_iou

# Four classes: 'd' is never annotated, but predicted; 'e' neither. Rows of the confusion matrix: annotated a, b, c.
#      a  b  c  d
#  a   6  2  0  0      IoU a = 6 / (8 + 7 - 6) = 2/3       Acc 6/8
#  b   1  3  0  0      IoU b = 3 / (4 + 5 - 3) = 1/2       Acc 3/4
#  c   0  0  1  3      IoU c = 1 / (4 + 1 - 1) = 1/4       Acc 1/4
TRUE = [0] * 8 + [1] * 4 + [2] * 4
FOUND = [0] * 6 + [1] * 2 + [0] + [1] * 3 + [2] + [3] * 3
CLASSES = ('a', 'b', 'c', 'd', 'e')


def samples(found: list[int], true: list[int], width: int = 4) -> list[dict]:
    field = {'pred_sem_seg': found, 'gt_sem_seg': true}
    return [{'img_path': 'x.jpg', **{key: {'data': torch.tensor(value).view(1, -1, width)}  # (1, H, W)
                                     for key, value in field.items()}}]


def evaluate(found: list[int], true: list[int], classes: tuple = CLASSES, **fields: object) -> dict:
    metric = SegmentationMetric(**fields)
    metric.dataset_meta = dict(classes=classes)
    metric.process(None, samples(found, true))
    return metric.evaluate(1)


def test_both_conventions_by_hand():
    found = evaluate(FOUND, TRUE)
    assert found['mIoU'] == pytest.approx(100 * (2 / 3 + 1 / 2 + 1 / 4 + 0) / 4)
    assert found['mIoU_present'] == pytest.approx(100 * (2 / 3 + 1 / 2 + 1 / 4) / 3)
    assert found['mAcc'] == found['mAcc_present'] == pytest.approx(100 * (6 / 8 + 3 / 4 + 1 / 4) / 3)
    assert found['aAcc'] == pytest.approx(100 * 10 / 16)


def test_ignored_pixels_do_not_count_in_the_prediction_either():
    found = evaluate(FOUND + [3, 4, 0, 0], TRUE + [255] * 4)
    assert found == evaluate(FOUND, TRUE)


def test_mmseg_agrees_where_it_has_the_number():
    pytest.importorskip('mmcv')
    mmseg = pytest.importorskip('mmseg.evaluation')
    generator = torch.Generator().manual_seed(0)
    true = torch.randint(0, 6, (1, 9, 8), generator=generator)
    true[true == 5] = 255
    found = torch.where(torch.rand(1, 9, 8, generator=generator) < 0.5, true, torch.randint(0, 7, (1, 9, 8)))
    found[found == 255] = 6
    batch = samples(found.flatten().tolist(), true.flatten().tolist(), 8)
    results = []
    for metric in (mmseg.IoUMetric(), SegmentationMetric()):
        metric.dataset_meta = dict(classes=tuple('abcdefgh'))
        metric.process(None, batch)
        results.append(metric.evaluate(1))
    for name in ('mIoU', 'mAcc', 'aAcc'):
        assert results[1][name] == pytest.approx(results[0][name], abs=0.006)  # mmseg rounds to two digits
    assert results[1]['mIoU_present'] > results[1]['mIoU']


def test_images_add_up_before_the_means():
    metric = SegmentationMetric(per_class=False)
    metric.dataset_meta = dict(classes=CLASSES)
    for part in (slice(0, 8), slice(8, 16)):
        metric.process(None, samples(FOUND[part], TRUE[part]))
    assert metric.evaluate(2) == evaluate(FOUND, TRUE)


def test_groups_and_unknown_names():
    found = evaluate(FOUND, TRUE, groups=dict(trained=['a', 'b'], held_out=['c', 'd']))
    assert found['mIoU_trained'] == pytest.approx(100 * (2 / 3 + 1 / 2) / 2)
    assert found['mIoU_held_out'] == pytest.approx(100 / 8) and found['mIoU_present_held_out'] == pytest.approx(25)
    with pytest.raises(ValueError, match=r"groups\['held_out'\]: found \['z'\], expected names of the data set's 5"):
        evaluate(FOUND, TRUE, groups=dict(held_out=['z']))


def test_more_than_255_classes_count_and_255_cannot_be_ignored():
    classes = tuple(map(str, range(459)))
    true, found = [255, 256, 458, 65535], [255, 0, 458, 3]
    metrics = evaluate(found, true, classes, ignore_index=65535)
    assert metrics['aAcc'] == pytest.approx(200 / 3) and metrics['mIoU_present'] == pytest.approx(200 / 3)
    with pytest.raises(ValueError, match='ignore_index: found 255, which is one of the 459 classes; expected .*65535'):
        evaluate(found, true, classes)


@pytest.mark.parametrize('found, true, message', [
    ([0, 0, 0, 5], [0, 0, 0, 0], 'image x.jpg: found predicted labels from 0 to 5, expected 0 to 4$'),
    ([0, 0, 0, 0], [0, 0, -1, 0], 'found annotated labels from -1 to 0, expected 0 to 4 or 255'),
    ([0, 0, 0, 0], [7, 0, 255, 0], 'found annotated labels from 0 to 7, expected 0 to 4 or 255'),
])
def test_labels_that_are_no_classes_are_named(found, true, message):
    with pytest.raises(ValueError, match=message):
        evaluate(found, true)


def test_other_sizes_and_missing_annotations_are_named():
    with pytest.raises(ValueError, match=r"found a prediction of \(2, 2\), expected the annotation's \(2, 3\)"):
        count_pixels(torch.zeros(2, 2), torch.zeros(2, 3), 2, 255, 'image')
    with pytest.raises(ValueError, match="x.jpg: found no 'gt_sem_seg'; expected a pipeline"):
        SegmentationMetric().process(None, [{'img_path': 'x.jpg', 'pred_sem_seg': {'data': torch.zeros(1, 2, 2)}}])


def test_counts_stay_whole_beyond_float32():
    counts = torch.tensor([[2**24 + 1], [2**24 + 1], [2**24 + 1]])
    assert mean_iou(counts)['aAcc'] == 100 and class_rates(counts + torch.tensor([[0], [1], [0]]))[0] < 100


def test_no_annotated_pixel_gives_nan_and_no_warning():
    assert np.isnan(evaluate([0, 0, 0, 0], [255] * 4)['mIoU'])


def evaluate_part(rank: int, world: int, size: int, folder: str) -> None:
    """One process's share of an odd data set, rounded up as samplers do."""
    torch.distributed.init_process_group('gloo', init_method=f'file://{folder}/store', rank=rank, world_size=world)
    metric = SegmentationMetric(per_class=False)
    metric.dataset_meta = dict(classes=CLASSES)
    share = list(range(rank, size, world))
    for i in (share + [0])[:-(-size // world)]:
        metric.process(None, samples(FOUND[4 * i:4 * i + 4], TRUE[4 * i:4 * i + 4]))
    torch.save(metric.evaluate(size), f'{folder}/{rank}.pt')
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_count_every_image_once(tmp_path):
    torch.multiprocessing.spawn(evaluate_part, (2, 3, str(tmp_path)), nprocs=2)
    expected = evaluate(FOUND[:12], TRUE[:12])
    for rank in range(2):
        assert torch.load(tmp_path / f'{rank}.pt') == expected
