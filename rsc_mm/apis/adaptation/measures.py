"""What an adaptation gained and what it kept, on images that it did not train on."""
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.device import get_device
from torch import nn
from torch.nn import functional as F

from rsc_mm.apis.evaluation_data import batches
from rsc_mm.datasets import RegionDataset
from rsc_mm.models.distillers import ensemble
from rsc_mm.registry import MODELS
from rsc_mm.utils.regions import pool_regions

ALPHAS = (0.1, 0.3, 0.5, 0.7, 0.85, 1.0)
KEPT_AT_LEAST = 90.
"""Percent of retrieval that the chosen share of the student must keep."""
NEAREST = 5


@dataclass(frozen=True)
class Texts:
    """Embeddings of the class names' texts.

    Attributes:
        classes: T names.
        embeddings: (Q, D) unit.
        owner: (Q,) class of each text.
    """

    classes: list[str]
    embeddings: torch.Tensor
    owner: torch.Tensor

    def name(self, features: torch.Tensor) -> torch.Tensor:
        """The class of the most similar text (K,).

        Args:
            features: unit embeddings (K, D).
        """
        return self.owner[(features.cpu() @ self.embeddings.t()).argmax(1)]


@dataclass(frozen=True)
class Measured:
    """Figures of one tower, in percent.

    Attributes:
        alpha: the student's share in its weights; 0 is the original.
        agreement: regions whose dense embedding has the name of their crop in the original tower.
        kept: images among the nearest to a text that the original tower finds as well.
        chance: what ``kept`` would be for images in a random order.
    """

    alpha: float
    agreement: float
    kept: float
    chance: float = 0.


class Measurement:
    """Compares towers with the original one.

    Args:
        original: the tower before the adaptation.
        preprocessor: fields of a `RegionPreprocessor` with crops.
        regions: images with regions, whose names are compared.
        images: the same or other images, each as one region, among which texts are looked for.
        texts: of the names.
    """

    def __init__(self, original: nn.Module, preprocessor: dict[str, Any], regions: RegionDataset,
                 images: RegionDataset, texts: Texts) -> None:
        self.original = original.to(get_device()).eval()
        self.preprocessor = MODELS.build(preprocessor).to(get_device())
        self.regions, self.images, self.texts = regions, images, texts
        self.crop_names = texts.name(torch.cat([self._crops(original, batch) for batch in self._batches(regions)]))
        self.nearest = self._nearest(original)

    @torch.no_grad()
    def measure(self, tower: nn.Module, alpha: float) -> Measured:
        r"""Agreement with crops and retrieval kept.

        .. math:: \text{agreement} = \frac{100}{K} \sum_k [c(f_{dense}, b_k) = c(f^0_{image}, X[b_k])]
                  \qquad \text{kept} = \frac{100}{Q n} \sum_q |N_q \cap N^0_q|

        c is the class with the most similar name; N are the n = min(5, images / 2) images nearest to text q, the index
        0 is the original tower.

        Args:
            tower: to measure.
            alpha: how the result is labelled.
        """
        dense = torch.cat([self._dense(tower, batch) for batch in self._batches(self.regions)])
        agree = (self.texts.name(dense) == self.crop_names).double().mean().item()
        common = (self._nearest(tower)[:, :, None] == self.nearest[:, None]).any(2)  # (Q, n)
        chance = 100 * self.nearest.shape[1] / len(self.images)
        return Measured(alpha, 100 * agree, 100 * common.double().mean().item(), chance)

    def _batches(self, dataset: RegionDataset) -> Any:
        for batch in batches(dataset, range(len(dataset)), 1):  # one at a time: padding would change the map
            yield self.preprocessor(batch)

    @torch.no_grad()
    def _crops(self, tower: nn.Module, batch: dict) -> torch.Tensor:
        return tower.encode_image(batch['crops'], normalize=True).float().cpu()

    def _dense(self, tower: Any, batch: dict) -> torch.Tensor:
        rows = pool_regions(tower.encode_dense(batch['images']), batch['boxes'], tower.patch_size)
        return F.normalize(rows.float(), dim=1).cpu()

    def _nearest(self, tower: nn.Module) -> torch.Tensor:
        """(Q, n) numbers of the images nearest to each text."""
        images = torch.cat([self._crops(tower, batch) for batch in self._batches(self.images)])  # (M, D)
        count = min(NEAREST, max(1, len(images) // 2))
        return (self.texts.embeddings @ images.t()).topk(count, dim=1).indices


def compare(measurement: Measurement, student: nn.Module, scratch: nn.Module,
            alphas: Sequence[float] = ALPHAS) -> list[Measured]:
    """Figures of the original tower and of weight ensembles with the student.

    Args:
        measurement: on the held-out images.
        student: the trained tower.
        scratch: a third tower of the same shape, whose weights are overwritten.
        alphas: the student's shares.
    """
    student.to(get_device()).eval()
    scratch.to(get_device()).eval()
    found = [measurement.measure(measurement.original, 0.)]
    for alpha in alphas:
        scratch.load_state_dict(ensemble(student, measurement.original, alpha))
        found.append(measurement.measure(scratch, alpha))
    return found


def choose_alpha(found: Sequence[Measured]) -> Measured:
    """The share with the best agreement among those that keep 90 % of retrieval; where none does, what keeps most.

    Args:
        found: figures of ensembles, the original's too.
    """
    mixed = [one for one in found if one.alpha]
    keeping = [one for one in mixed if one.kept >= KEPT_AT_LEAST]
    if keeping:
        return max(keeping, key=lambda one: (one.agreement, one.kept))
    return max(mixed, key=lambda one: (one.kept, one.agreement))
