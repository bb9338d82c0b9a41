"""Zero-shot region classification: the class of boxes, masks and crops by their text embedding."""
from collections import Counter
from collections.abc import Sequence
from itertools import chain
from typing import Any

import torch
from mmengine.dist import all_gather_object, is_main_process
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from rsc_mm.registry import METRICS

from .class_accuracy import COLUMNS, MISSED, join_columns, mean_class_accuracy, per_class_table, zero_feature_lines


@METRICS.register_module()
class RegionClassificationMetric(BaseMetric):
    r"""Top-k mean accuracy (mAcc) over classes of frozen features and class embeddings (CLIPSelf, sec. 4.1).

    .. math:: \text{mAcc} = \frac{1}{|C'|} \sum_{c \in C'} \frac{1}{|R_c|} \sum_{i \in R_c}
              [\operatorname{rank}_i(c) < k], \quad \operatorname{rank}_i \text{ by } \cos(v_i, t_{1..T})

    All T classes compete; the mean is over the classes :math:`C'` that have regions, things and stuff apart. Among
    equal logits the lower class number comes first, as argmax does. Everything is float32 and in percent.

    A region whose feature is zero (a mask that covers no cell of the grid, a box outside the image) says nothing of any
    class: it is missed for every k, and the log says how many there are.

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
        ValueError: embeddings and classes or features do not fit, a class name stands twice, a feature is not finite,
            or there is no region to evaluate.
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
            names = {name: key for name, (key, _) in COLUMNS.items() if key in sample}
            ranks = {key: self._ranks(sample, key) for key in set(names.values())}
            labels, is_thing = sample['labels'].cpu(), sample['is_thing'].cpu()
            result = {}
            for name, key in names.items():
                chosen = is_thing == COLUMNS[name][1]
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
        joined = join_columns(results)
        if not joined:
            raise ValueError(f'RegionClassificationMetric: found no region in {len(results)} images, expected at least '
                             "one; has the json annotations, and of a size within the region source's min_size and "
                             'max_size?')
        if is_main_process():
            for line in zero_feature_lines(joined):
                print_log(line, 'current')
            if self.per_class:
                print_log('\n' + per_class_table(joined, self._class_names(), self.topk[0]), 'current')
        return {f'{name}_top{k}': mean_class_accuracy(*pair, k) for name, pair in joined.items() for k in self.topk}

    def _ranks(self, sample: dict, key: str) -> torch.Tensor:
        """(K,) number of classes before the true one, `MISSED` where the feature is zero."""
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
        ranks = ((logits > true) | ((logits == true) & lower)).sum(1)
        return ranks.where(features.any(1), MISSED).cpu()

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
        names = tuple((self.dataset_meta or {}).get('classes', ()))
        if twice := [name for name, count in Counter(names).items() if count > 1]:
            raise ValueError(f"RegionClassificationMetric: found the class names {twice} twice among the dataset's "
                             f'{len(names)}, expected different names: one of two equal classes can never be right')
        return names
