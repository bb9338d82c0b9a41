"""What the frozen teacher says of a region, computed once and kept on disk."""
import hashlib
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_world_size
from mmengine.logging import MessageHub, print_log
from mmengine.structures import BaseDataElement
from torch.nn import functional as F

from rsc_mm.models.backbones.attention import computing_dtype
from rsc_mm.registry import MODELS
from rsc_mm.utils.refiner_checkpoint import tower_identity, weights_hash

from .target_store import Lookup, TargetStore


@MODELS.register_module()
class CachedTargets:
    """Targets of `CLIPSelf`, `SCRLA` and `RefinerTrainer`, written as training goes, read when a region comes again.

    Kept are, in float16, the unit embedding of a region's crop (D numbers), for SC and R-SC the correlations of the
    region's tokens (L x L numbers), not the tokens, and for the Refiner, which learns them, the crop's tokens as the
    frozen tower gives them (L x D numbers). A region is known by its image (id, file name, size), its box, and for
    correlations by the size of the input. So other epochs, seeds, students and proposal files share a cache; a region
    that is not known is computed and written. Of what is known the crops are not cut; where all is, the teacher does
    not run. (The Refiner reads the tower's early map of the image, which stays to be computed.) Fresh targets are
    rounded to float16 as well, so a cached step is the step that wrote it.

    What is written becomes visible at the next epoch or start, to all processes. Two runs that write at the same time
    agree to float16's precision, not to the bit. The share of regions that were known is logged as ``target_hits``.

    Args:
        path: folder, may be shared by machines. Its sub-folders ``crops``, ``correlations``, with a Refiner
            ``refined``, and of a Refiner's training ``tokens`` each keep what they depend on.
    """

    def __init__(self, path: str) -> None:
        self.path = Path(path)
        self.crops: TargetStore | None = None
        self.regions: TargetStore | None = None
        self.hits = self.lookups = 0
        self._epoch: int | None = None
        self._announced = False

    def open(self, model: torch.nn.Module, dtype: torch.dtype) -> None:
        """Open the stores of a model.

        Args:
            model: a distiller with its weights: ``teacher``, ``data_preprocessor``, ``crop_targets`` (sub-folder and
                numbers of a region, or None) and for correlations ``scd_loss`` and ``refiner``.
            dtype: that of the teacher's matrix products.

        Raises:
            ValueError: the cache belongs to another teacher, Refiner, preprocessing or precision, or the loss compares
                more than regions; the message names the field.
        """
        pixels, loss = model.data_preprocessor, getattr(model, 'scd_loss', None)
        common = {'teacher': ' '.join(tower_identity(model.teacher).values()), 'precision': str(dtype),
                  'data_preprocessor.backend': pixels.backend,
                  'data_preprocessor.mean, std': str([x.flatten().tolist() for x in (pixels.shift, pixels.scale)])}
        if model.crop_targets:
            name, width = model.crop_targets
            identity = {**common, 'data_preprocessor.crop_size': str(pixels.crop_size)}
            self.crops = TargetStore(self.path / name, width, identity)
        if loss is not None:
            if loss.scope != 'region':
                raise ValueError(f"CachedTargets: SCDLoss field 'scope': found {loss.scope!r}, expected 'region': "
                                 'other correlations are not those of a region alone')
            refiner = 'none' if model.refiner is None else weights_hash(model.refiner.state_dict())
            identity = {**common, 'refiner': refiner,
                        'data_preprocessor.image_size': str(pixels.image_size),
                        'scd_loss.region_size': str(loss.region_size), 'scd_loss.normalise': str(loss.normalise)}
            name = 'correlations' if model.refiner is None else 'refined'
            self.regions = TargetStore(self.path / name, loss.region_size**4, identity)

    def read(self, model: torch.nn.Module, samples: list[BaseDataElement], canvas: tuple[int, int]) -> None:
        """Give every sample what is known of its regions: ``cached_crops``, ``cached_regions``, ``cached_by`` (this).

        Args:
            model: see `open`, which the first call does.
            samples: of B images.
            canvas: height and width of the input in pixels.
        """
        if self.crops is None and self.regions is None:
            self.open(model, computing_dtype(next(model.teacher.parameters())))
        epoch = MessageHub.get_current_instance().get_info('epoch', 0)
        if epoch != self._epoch:  # within an epoch an image comes once, so that what is known need not change
            self._epoch, self.hits, self.lookups = epoch, 0, 0
            for store in self._stores():
                store.refresh()
        for sample in samples:
            sample.set_data({'cached_by': self})
            if self.crops is not None:
                self._look_up(sample, 'cached_crops', self.crops, region_keys(sample, sample.crop_boxes))
            if self.regions is not None:
                keys = region_keys(sample, sample.boxes, canvas, sample.img_shape)
                self._look_up(sample, 'cached_regions', self.regions, keys)
        if self.lookups:
            MessageHub.get_current_instance().update_scalar('train/target_hits', self.hits / self.lookups)

    def embeddings(self, samples: list[BaseDataElement], crops: torch.Tensor,
                   encode: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        """The teacher's unit embeddings of all crops (sum K, D).

        Args:
            samples: after `read`.
            crops: of the regions that are not known (sum of them, 3, s, s).
            encode: crops to embeddings.
        """
        return self._of_crops(samples, crops, lambda x: F.normalize(encode(x).float(), dim=1))

    def tokens(self, samples: list[BaseDataElement], crops: torch.Tensor,
               encode: Callable[[torch.Tensor], torch.Tensor], dim: int) -> torch.Tensor:
        """The frozen tower's tokens of all crops (sum K, L, D), not normalised.

        Args:
            samples: after `read`.
            crops: of the regions that are not known (sum of them, 3, s, s).
            encode: crops to tokens.
            dim: D.
        """
        rows = self._of_crops(samples, crops, lambda x: encode(x).flatten(1))  # (sum K, L D)
        return rows.unflatten(1, (-1, dim))  # (sum K, L, D)

    def correlations(self, samples: list[BaseDataElement], device: torch.device,
                     correlate: Callable[[list[int], list[torch.Tensor]], torch.Tensor]) -> torch.Tensor:
        """The target's correlations of all regions (sum K, L, L).

        Args:
            samples: after `read`.
            device: of the result.
            correlate: images by their number in the batch, and of each the regions (K_i,) bool that are not known, to
                their correlations.
        """
        lookups = [sample.cached_regions for sample in samples]
        missing = [i for i, lookup in enumerate(lookups) if not lookup.known.all()]
        if missing:
            fresh = correlate(missing, [torch.from_numpy(~lookups[i].known).to(device) for i in missing])
            self._fill(self.regions, lookups, fresh.flatten(1))  # (K, L L)
        side = round(self.regions.width**0.5)
        return joined(lookups, self.regions.width, device).unflatten(1, (side, side))  # (sum K, L, L)

    def _of_crops(self, samples: list[BaseDataElement], crops: torch.Tensor,
                  encode: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        lookups = [sample.cached_crops for sample in samples]
        if len(crops):
            self._fill(self.crops, lookups, encode(crops))
        return joined(lookups, self.crops.width, crops.device)

    def _stores(self) -> list[TargetStore]:
        return [store for store in (self.crops, self.regions) if store is not None]

    def _look_up(self, sample: BaseDataElement, field: str, store: TargetStore, keys: np.ndarray) -> None:
        lookup = store.look_up(keys)
        sample.set_data({field: lookup})
        self.hits += int(lookup.known.sum())
        self.lookups += len(keys)

    def _fill(self, store: TargetStore, lookups: list[Lookup], fresh: torch.Tensor) -> None:
        """Writes fresh rows, in the order of the regions that were not known, to the lookups and to disk."""
        rows = fresh.half().cpu().numpy()
        if not np.isfinite(rows).all():
            raise ValueError(f'CachedTargets: {store.folder}: found a target that is not finite in float16, expected '
                             "numbers below 65,504; with SCDLoss field 'normalise' False, or a tower with tokens as "
                             'large, train without a cache')
        if not self._announced:
            self._announced = True
            self._announce(len(rows))
        keys = np.concatenate([lookup.keys[~lookup.known] for lookup in lookups])
        store.add(keys, rows)
        for lookup in lookups:
            count = int((~lookup.known).sum())
            lookup.rows[~lookup.known], rows = rows[:count], rows[count:]

    def _announce(self, regions: int) -> None:
        """Says how large the cache can grow, before the first row is written."""
        size = sum(2 * store.width for store in self._stores())
        steps = MessageHub.get_current_instance().get_info('max_iters', 1)
        self.path.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.path).free
        print_log(f'cached targets in {self.path}: {size} bytes a region, at most '
                  f'{size * regions * get_world_size() * steps / 1e9:.2f} GB in {steps} steps of {regions} regions in '
                  f'{get_world_size()} processes if no region comes twice; {free / 1e9:.1f} GB are free', 'current')


def crop_embeddings(samples: list[BaseDataElement], crops: torch.Tensor,
                    encode: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    """Embeddings of all regions' crops (sum K, D), from the cache where the samples have one.

    Args:
        samples: of B images.
        crops: of the regions whose embedding is not cached.
        encode: crops to embeddings.
    """
    if samples and 'cached_crops' in samples[0]:
        return samples[0].cached_by.embeddings(samples, crops, encode)
    return encode(crops)


def region_keys(sample: BaseDataElement, boxes: torch.Tensor, *frame: tuple[int, int]) -> np.ndarray:
    """A number for each region that tells it from all others (K,) uint64.

    Args:
        sample: of the image.
        boxes: (K, 4) in original pixels.
        frame: further sizes on which the target depends.
    """
    image = repr((sample.img_id, Path(sample.img_path).name, tuple(sample.ori_shape), frame)).encode()
    digests = [hashlib.blake2b(image + box.tobytes(), digest_size=8).digest() for box in boxes.cpu().numpy()]
    return np.frombuffer(b''.join(digests), '<u8')


def joined(lookups: Iterable[Lookup], width: int, device: Any) -> torch.Tensor:
    """All rows (sum K, W) in float32.

    Args:
        lookups: of the images of a batch.
        width: W.
        device: of the result.
    """
    rows = np.concatenate([np.zeros((0, width), np.float16), *(lookup.rows for lookup in lookups)])
    return torch.from_numpy(rows).to(device).float()
