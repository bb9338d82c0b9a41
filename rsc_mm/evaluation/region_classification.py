"""Zero-shot region classification: the class of boxes, masks and crops by their text embedding."""
from collections.abc import Sequence
from itertools import chain
from typing import Any

import torch
from mmengine.dist import all_gather_object, is_main_process
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from rsc_mm.registry import METRICS

# Reported name -> (feature of the data sample, whether of things or of stuff); CLIPSelf's columns and their bounds.
READOUTS = {
    'boxes': ('box_features', True),
    'thing_masks': ('mask_features', True),
    'stuff_masks': ('mask_features', False),
    'thing_crops': ('crop_features', True),
    'stuff_crops': ('crop_features', False),
}


@METRICS.register_module()
class RegionClassificationMetric(BaseMetric):
    r"""Top-k mean accuracy (mAcc) over classes of frozen features and class embeddings (CLIPSelf, sec. 4.1).

    .. math:: \text{mAcc} = \frac{1}{|C'|} \sum_{c \in C'} \frac{1}{|R_c|} \sum_{i \in R_c}
              [\operatorname{rank}_i(c) < k], \quad \operatorname{rank}_i \text{ by } \cos(v_i, t_{1..T})

    All T classes compete; the mean is over the classes :math:`C'` that have regions, things and stuff apart. Among
    equal logits the lower class number comes first, as argmax does. Everything is float32 and in percent.

    Every image counts once: results of all processes are joined by ``img_id``, and their number must be the
    dataset's. So images that a sampler repeats change nothing, and a lost one is an error.

    Args:
        class_embeddings: (T, D) tensor; or path or config for `rsc_mm.models.text.load_class_embeddings`, read for the
            dataset's classes.
        topk: the k's.
        per_class: logs a table of every class, its number of regions and its accuracy for the first k.
        prefix: put before the names with a slash; default: none.

    Returns (`evaluate`):
        ``boxes_top1``, ``thing_masks_top1``, ``stuff_masks_top1``, ``thing_crops_top1``, ``stuff_crops_top1`` and the
        same for the other k's; those whose features the model adds and that have a region.

    Raises:
        ValueError: embeddings and classes or features do not fit, or a feature is not finite.
    """

    def __init__(self, class_embeddings: torch.Tensor | str | dict, topk: Sequence[int] = (1, 5),
                 per_class: bool = False, prefix: str | None = None) -> None:
        super().__init__(prefix=prefix)
        self.class_embeddings = class_embeddings
        self.topk = tuple(topk)
        self.per_class = per_class
        self._embeddings: torch.Tensor | None = None

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Ranks the true class of every region.

        Args:
            data_batch: not used.
            data_samples: of each image ``img_id``, ``labels`` and ``is_thing`` (K,), and any of ``box_features``,
                ``mask_features``, ``crop_features`` (K, D).
        """
        for sample in data_samples:
            names = {name: key for name, (key, _) in READOUTS.items() if key in sample}
            ranks = {key: self._ranks(sample, key) for key in set(names.values())}
            labels, is_thing = sample['labels'].cpu(), sample['is_thing'].cpu()
            result = {}
            for name, key in names.items():
                chosen = is_thing == READOUTS[name][1]
                result[name] = (labels[chosen], ranks[key][chosen])
            self.results.append((sample['img_id'], result))

    def evaluate(self, size: int) -> dict[str, float]:
        """Joins the results of all processes and computes the metrics on each.

        Args:
            size: number of images of the dataset.

        Raises:
            RuntimeError: the number of distinct images is not ``size``.
        """
        results = dict(chain.from_iterable(all_gather_object(self.results)))
        self.results.clear()
        if len(results) != size:
            raise RuntimeError(f'RegionClassificationMetric: found results of {len(results)} distinct images, expected '
                               f"the dataset's {size}; is every img_id unique and every image in some process's part?")
        metrics = self.compute_metrics(list(results.values()))
        return {f'{self.prefix}/{key}': value for key, value in metrics.items()} if self.prefix else metrics

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Mean accuracies in percent from (labels, ranks) of every image."""
        joined = {}
        for name in READOUTS:
            parts = [result[name] for result in results if name in result]
            if sum(len(labels) for labels, _ in parts):
                joined[name] = tuple(torch.cat(column) for column in zip(*parts))
        if self.per_class and is_main_process():
            print_log('\n' + per_class_table(joined, self._class_names(), self.topk[0]), 'current')
        return {f'{name}_top{k}': mean_class_accuracy(*pair, k) for name, pair in joined.items() for k in self.topk}

    def _ranks(self, sample: dict, key: str) -> torch.Tensor:
        """(K,) number of classes before the true one."""
        features, labels = sample[key].float(), sample['labels'].to(sample[key].device)
        embeddings = self._embeddings_on(features)
        if len(labels) and int(labels.max()) >= len(embeddings):
            raise ValueError(f'RegionClassificationMetric.class_embeddings: found {len(embeddings)} embeddings, '
                             f'expected more than the label {int(labels.max())} of image {sample["img_id"]}')
        if not features.isfinite().all():
            raise ValueError(f'{key} of image {sample["img_id"]}: found NaN or infinity, expected finite features')
        logits = features @ embeddings.t()
        true = logits.gather(1, labels[:, None])
        lower = torch.arange(len(embeddings), device=labels.device) < labels[:, None]
        return ((logits > true) | ((logits == true) & lower)).sum(1).cpu()

    def _embeddings_on(self, features: torch.Tensor) -> torch.Tensor:
        """(T, D) float32 of unit length on the features' device; read at the first image."""
        if self._embeddings is None:
            self._embeddings = torch.nn.functional.normalize(self._read_embeddings().float(), dim=1)
        if self._embeddings.shape[1] != features.shape[1]:
            raise ValueError(f'RegionClassificationMetric.class_embeddings: found {self._embeddings.shape[1]} channels,'
                             f" expected the features' {features.shape[1]}; do they come from the same CLIP?")
        self._embeddings = self._embeddings.to(features.device)
        return self._embeddings

    def _read_embeddings(self) -> torch.Tensor:
        names = self._class_names()
        embeddings = self.class_embeddings
        if not isinstance(embeddings, torch.Tensor):
            # Here, because the text towers cost an import that evaluation from a tensor does not need.
            from rsc_mm.models.text import load_class_embeddings
            embeddings = load_class_embeddings(embeddings, names)
        if names and len(embeddings) != len(names):
            raise ValueError(f'RegionClassificationMetric.class_embeddings: found {len(embeddings)} embeddings, '
                             f"expected {len(names)}, one for each of the dataset's classes")
        return embeddings

    def _class_names(self) -> tuple[str, ...]:
        return tuple((self.dataset_meta or {}).get('classes', ()))


def mean_class_accuracy(labels: torch.Tensor, ranks: torch.Tensor, k: int) -> float:
    """Mean over the classes present of the share of regions with the true class among the first k, in percent.

    Args:
        labels: (R,) int64.
        ranks: (R,) number of classes before the true one.
        k: number of first classes.
    """
    return class_accuracies(labels, ranks, k)[labels.unique()].mean().item()


def class_accuracies(labels: torch.Tensor, ranks: torch.Tensor, k: int) -> torch.Tensor:
    """(max label + 1,) accuracy of each class in percent, NaN without regions; arguments as `mean_class_accuracy`."""
    hits = torch.bincount(labels, weights=(ranks < k).double())
    return 100 * hits / torch.bincount(labels)


def per_class_table(joined: dict[str, tuple[torch.Tensor, torch.Tensor]], classes: Sequence[str], k: int) -> str:
    """A text table: class, number of regions and accuracy of every readout.

    Args:
        joined: labels (R,) and ranks (R,) of each readout.
        classes: names in label order; empty: numbers.
        k: number of first classes that count.
    """
    present = torch.cat([labels for labels, _ in joined.values()]).unique().tolist() if joined else []
    lines = [f'{"class":24s}' + ''.join(f'{"n":>7s} {f"{name}_top{k}":>16s}' for name in joined)]
    accuracies = {name: class_accuracies(*pair, k) for name, pair in joined.items()}
    for label in present:
        line = f'{classes[label] if classes else label!s:24s}'
        for name, (labels, _) in joined.items():
            n = int((labels == label).sum())
            line += f'{n:7d} {accuracies[name][label]:16.1f}' if n else f'{0:7d} {"-":>16s}'
        lines.append(line)
    return '\n'.join(lines)
