from pathlib import Path

import pytest
import torch
from torch import distributed as dist
from torch import multiprocessing as mp

from rsc_mm.evaluation import RegionClassificationMetric, region_classification
from rsc_mm.registry import METRICS

T, D = 7, 5


def embeddings() -> torch.Tensor:
    return torch.randn(T, D, generator=torch.manual_seed(1))


def sample(img_id: int, k: int = 4, **changes: object) -> dict:
    """A predicted sample of k random regions."""
    g = torch.manual_seed(100 + img_id)
    fields = {name: torch.randn(k, D, generator=g) for name in ('box_features', 'mask_features', 'crop_features')}
    labels = torch.randint(0, T, (k, ), generator=g)
    return {'img_id': img_id, 'labels': labels, 'is_thing': labels < 4, **fields, **changes}


def by_hand(labels: list[int], features: torch.Tensor, **options: object) -> dict[str, float]:
    """Things only; class embeddings are the unit vectors."""
    metric = RegionClassificationMetric(torch.eye(3), topk=(1, 2), **options)
    metric.process(None, [{'img_id': 0, 'labels': torch.tensor(labels), 'is_thing': torch.ones(len(labels)).bool(),
                           'box_features': features}])
    return metric.evaluate(1)


def test_mean_over_the_classes_present_by_hand() -> None:
    # Class 0: first, first, second; class 2: third. Class 1 has no region.
    features = torch.tensor([[3., 2, 1], [3, 1, 2], [2, 3, 1], [3, 2, 1]])
    scores = by_hand([0, 0, 0, 2], features)
    assert scores == pytest.approx({'boxes_top1': 100 * (2 / 3 + 0) / 2, 'boxes_top2': 100 * (1 + 0) / 2})


def test_equal_logits_count_as_argmax_does() -> None:
    assert by_hand([0, 1], torch.ones(2, 3))['boxes_top1'] == 50
    assert by_hand([2], torch.ones(1, 3)) == {'boxes_top1': 0, 'boxes_top2': 0}


def test_a_zero_feature_is_missed_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    # Class 0: hit, zero feature; class 1: zero feature. Equal logits of a zero feature would be a hit for class 0.
    logged = []
    monkeypatch.setattr(region_classification, 'print_log', lambda text, logger: logged.append(text))
    features = torch.tensor([[1., 0, 0], [0, 0, 0], [0, 0, 0]])
    assert by_hand([0, 0, 1], features) == {'boxes_top1': 25, 'boxes_top2': 25}
    assert logged == ['boxes: 2 of 3 regions have a zero feature (no cell of the grid lies in them) and count as '
                      'missed']


def test_no_region_at_all_is_an_error() -> None:
    for empty in (torch.zeros(0, 3), None):
        metric = RegionClassificationMetric(torch.eye(3))
        nothing = {'img_id': 0, 'labels': torch.zeros(0).long(), 'is_thing': torch.zeros(0).bool()}
        metric.process(None, [nothing if empty is None else {**nothing, 'box_features': empty}])
        with pytest.raises(ValueError, match='found no region in 1 images, expected at least one; has the json annot'):
            metric.evaluate(1)


def test_a_class_name_that_stands_twice_is_refused() -> None:
    metric = RegionClassificationMetric(torch.eye(T, D))
    metric.dataset_meta = {'classes': tuple('abcdefa')}
    with pytest.raises(ValueError, match=r"found the class names \['a'\] twice among the dataset's 7, expected diff"):
        metric.process(None, [sample(0)])


def test_prefix() -> None:
    assert set(by_hand([0], torch.ones(1, 3), prefix='coco')) == {'coco/boxes_top1', 'coco/boxes_top2'}


def slow(samples: list[dict], feature: str, thing: bool, k: int) -> float:
    """One region after the other, classes sorted by cosine."""
    hits = {}
    for s in samples:
        for i, label in enumerate(s['labels'].tolist()):
            if bool(s['is_thing'][i]) == thing:
                cosine = torch.nn.functional.cosine_similarity(s[feature][i][None], embeddings(), dim=1)
                hits.setdefault(label, []).append(label in cosine.argsort(descending=True)[:k].tolist())
    return 100 * sum(sum(h) / len(h) for h in hits.values()) / len(hits)


def test_all_columns_equal_a_slow_version() -> None:
    samples = [sample(i, k=i) for i in range(12)]
    metric = RegionClassificationMetric(embeddings())
    metric.process(None, samples[:5])
    metric.process(None, samples[5:])
    scores = metric.evaluate(12)
    columns = {'boxes': ('box_features', True), 'thing_masks': ('mask_features', True),
               'stuff_masks': ('mask_features', False), 'thing_crops': ('crop_features', True),
               'stuff_crops': ('crop_features', False)}
    assert scores == pytest.approx({f'{name}_top{k}': slow(samples, *column, k)
                                    for name, column in columns.items() for k in (1, 5)})


def test_repeated_images_count_once_and_lost_ones_are_an_error() -> None:
    metric = RegionClassificationMetric(embeddings())
    metric.process(None, [sample(0), sample(1), sample(2)])
    once = metric.evaluate(3)
    metric.process(None, [sample(0), sample(1), sample(2), sample(0), sample(1)])
    assert metric.evaluate(3) == once
    metric.process(None, [sample(0)])
    with pytest.raises(RuntimeError, match="found results of 1 distinct images, expected the dataset's 3"):
        metric.evaluate(3)


def test_features_that_are_not_there_are_not_reported() -> None:
    metric = RegionClassificationMetric(embeddings())
    stuff = sample(0)
    stuff['is_thing'] = torch.zeros(4).bool()
    del stuff['crop_features']
    metric.process(None, [stuff, sample(1, 0, crop_features=torch.zeros(0, D))])
    assert set(metric.evaluate(2)) == {'stuff_masks_top1', 'stuff_masks_top5'}


def test_half_precision_features_are_compared_in_float32() -> None:
    metric = RegionClassificationMetric(embeddings() * 7)
    metric.process(None, [sample(0, box_features=sample(0)['box_features'].bfloat16())])
    assert metric._embeddings.dtype == torch.float32
    torch.testing.assert_close(metric._embeddings.norm(dim=1), torch.ones(T))


def test_per_class_table(monkeypatch: pytest.MonkeyPatch) -> None:
    logged = []
    monkeypatch.setattr(region_classification, 'print_log', lambda text, logger: logged.append(text))
    metric = METRICS.build({'type': 'RegionClassificationMetric', 'class_embeddings': torch.eye(3), 'per_class': True})
    metric.dataset_meta = {'classes': ('cat', 'dog', 'sky')}
    metric.process(None, [{'img_id': 0, 'labels': torch.tensor([0, 0, 2]), 'is_thing': torch.tensor([1, 1, 0]).bool(),
                           'mask_features': torch.tensor([[1., 0, 0], [0, 1, 0], [0, 0, 1]])}])
    metric.evaluate(1)
    rows = {line.split()[0]: line.split()[1:] for line in logged[0].split('\n') if line}
    assert rows['class'] == ['n', 'thing_masks_top1', 'n', 'stuff_masks_top1']
    assert rows['cat'] == ['2', '50.0', '0', '-'] and rows['sky'] == ['0', '-', '1', '100.0'] and 'dog' not in rows


@pytest.mark.parametrize('table, changes, message', [
    (torch.eye(5), {}, r'class_embeddings: found 5 embeddings, expected 7, one for each'),
    (torch.randn(T, 3), {}, r"class_embeddings: found 3 channels, expected the features' 5"),
    (torch.randn(T, D), {'box_features': torch.full((4, D), float('nan'))},
     r'box_features of image 0: found NaN or infinity, expected finite'),
    (torch.randn(T, D), {'labels': torch.tensor([0, 1, 2, 9])},
     r'class_embeddings: found 7 embeddings, expected more than the label 9 of image 0'),
])
def test_misfits_are_named(table: torch.Tensor, changes: dict, message: str) -> None:
    metric = RegionClassificationMetric(table)
    metric.dataset_meta = {'classes': tuple('abcdefg')}
    with pytest.raises(ValueError, match=message):
        metric.process(None, [sample(0, **changes)])


def evaluate_part(rank: int, world: int, size: int, folder: str) -> None:
    """One process's share of an odd dataset; every process writes what it gets."""
    dist.init_process_group('gloo', init_method=f'file://{folder}/store', rank=rank, world_size=world)
    share = list(range(rank, size, world))
    rounded_up = (share + [0])[:-(-size // world)]  # as samplers do that give every process equally many
    metric = RegionClassificationMetric(embeddings())
    results = []
    for images in (share, rounded_up):
        for i in images:
            metric.process(None, [sample(i, k=i)])
        results.append(metric.evaluate(size))
    torch.save(results, f'{folder}/{rank}.pt')
    dist.destroy_process_group()


def test_two_processes_are_exact_on_an_odd_dataset(tmp_path: Path) -> None:
    mp.spawn(evaluate_part, (2, 7, str(tmp_path)), nprocs=2)
    metric = RegionClassificationMetric(embeddings())
    metric.process(None, [sample(i, k=i) for i in range(7)])
    expected = metric.evaluate(7)
    for rank in range(2):
        for scores in torch.load(tmp_path / f'{rank}.pt'):
            assert scores == pytest.approx(expected, abs=1e-9)
