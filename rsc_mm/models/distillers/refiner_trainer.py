from functools import partial

import torch
from mmengine.structures import BaseDataElement
from torch.nn import functional as F

from rsc_mm.models.region_encoder import RegionEncoder
from rsc_mm.registry import MODELS
from rsc_mm.utils.regions import grid_shape, region_tokens

from .distiller import drop_frozen_parts, keep_frozen_parts
from .negatives import NEGATIVES

DIRECTIONS = ('global_to_local', 'local_to_global')


@MODELS.register_module()
class RefinerTrainer(RegionEncoder):
    r"""Training of the Refiner on a frozen tower (Qiu et al., ICLR 2025, sec. 3.3): stage 1.

    Of each image C random square boxes :math:`b_i` (`LocalCropRegions`) are cut out and seen again without context:

    .. math:: \hat Z_i = f_R(\mathrm{RoIAlign}(f_A(X), b_i)), \quad Z'_i = f_I(X'_i), \quad
              L = \frac{1}{C} \sum_i L_{align}(\hat Z_i, Z'_i)

    (eq. 8, 9). The region grid is the crop's own token grid. 'local_to_global', the ablation of table 6(b), reverses
    it: the Refiner reads the crop and learns the region of the whole image's dense map.

    A checkpoint holds the Refiner only, with the name and hash of its tower (`RefinerCheckpointHook`). Validation gives
    the Refiner's own output: each region is refined, and the mean of its unit tokens, over all or over the mask's, is
    its feature, as with a tower.

    Args:
        backbone: the tower, frozen as a whole.
        refiner: `Refiner`.
        refiner_loss: see `RefinerLoss`.
        direction: 'global_to_local' or 'local_to_global'.
        data_preprocessor: see `RegionEncoder`; it cuts the crops.
        init_cfg: for MMEngine.
        targets: ``dict(type='CachedTargets', path=FOLDER)`` keeps the tokens of the crops on disk. `LocalCropRegions`
            draws other regions in every epoch; ``redraw_every`` of the dataset keeps them.
        negatives: of InfoNCE: 'other_tokens', the paper's; 'other_segments', the tokens of other annotated segments
            alone; 'as_many_at_random', the control of that, see `rsc_mm.models.distillers.negatives`. The last two read
            the annotation, which R-SC does not have: they tell what false negatives cost.

    Raises:
        ValueError: there is no such direction or choice of negatives, or ``targets`` are given with 'local_to_global'.
    """

    frozen_parts: tuple[str, ...] = ('backbone', )

    def __init__(self, backbone: dict, refiner: dict, refiner_loss: dict = dict(type='RefinerLoss'),
                 direction: str = 'global_to_local', data_preprocessor: dict | None = None,
                 init_cfg: dict | None = None, targets: dict | None = None, negatives: str = 'other_tokens') -> None:
        super().__init__(backbone, data_preprocessor, init_cfg)
        for field, value, choices in (('direction', direction, DIRECTIONS), ('negatives', negatives, NEGATIVES)):
            if value not in choices:
                raise ValueError(f'RefinerTrainer field {field!r}: found {value!r}, expected one of {tuple(choices)}')
        self.backbone.freeze()
        self.refiner = MODELS.build({**refiner, 'backbone': self.backbone})
        self.refiner_loss = MODELS.build(refiner_loss)
        self.negatives = NEGATIVES[negatives]
        self.pair = global_to_local if direction == 'global_to_local' else local_to_global
        if targets and direction != 'global_to_local':
            raise ValueError(f"RefinerTrainer field 'targets': found a cache with direction {direction!r}, expected "
                             "None: only the targets of 'global_to_local' are those of a crop alone")
        self.targets = targets and MODELS.build(targets)
        if self.targets:
            self.data_preprocessor.read_targets = partial(self.targets.read, self)
        self.register_state_dict_post_hook(drop_frozen_parts)
        self.register_load_state_dict_pre_hook(keep_frozen_parts)

    @property
    def teacher(self) -> torch.nn.Module:
        """The tower whose tokens are the targets."""
        return self.backbone

    @property
    def crop_targets(self) -> tuple[str, int]:
        """What a cache keeps of a region's crop: its sub-folder and the numbers of a region, L D."""
        side = self.data_preprocessor.crop_size
        rows, columns = grid_shape((side, side), self.backbone.patch_size)
        return 'tokens', rows * columns * self.backbone.embed_dim

    def init_weights(self) -> None:
        """Load the tower; the Refiner starts from its last blocks, or from its own ``init_cfg``."""
        if not self.is_init:
            self.backbone.init_weights()
            self.refiner.init_weights(self.backbone)
            self._is_init = True

    def loss(self, images: torch.Tensor, boxes: list[torch.Tensor], crops: torch.Tensor,
             data_samples: list[BaseDataElement]) -> dict[str, torch.Tensor]:
        """Equation 9.

        Args:
            images: (B, 3, H, W).
            boxes: for each image the local boxes (C, 4) in network pixels.
            crops: the same cut from the images (sum C, 3, s, s), but for those with a cached target.
            data_samples: hold the cached targets where there are any, and ``segments`` (C, L) where ``negatives``
                need them.

        Returns:
            ``loss_refiner``.
        """
        refined, local = self.tokens(images, boxes, crops, data_samples)
        return {'loss_refiner': self.refiner_loss(refined, local, self.negatives(data_samples, local))}

    def tokens(self, images: torch.Tensor, boxes: list[torch.Tensor], crops: torch.Tensor,
               data_samples: list[BaseDataElement]) -> tuple[torch.Tensor, torch.Tensor]:
        """What equation 9 compares, those of the crops from the cache where there is one; arguments as `loss`.

        Returns:
            Two tensors (sum C, L, D), refined tokens first.
        """
        if not self.targets:
            return self.pair(self.refiner, self.backbone, images, boxes, crops)
        size = grid_shape(crops.shape[2:], self.backbone.patch_size)
        refined = refined_regions(self.refiner, self.backbone, images, boxes, size)
        return refined, self.targets.tokens(data_samples, crops, partial(crop_tokens, self.backbone),
                                            self.backbone.embed_dim)

    @torch.no_grad()
    def predict(self, images: torch.Tensor, boxes: list[torch.Tensor], crops: torch.Tensor | None,
                masks: list[torch.Tensor] | None, data_samples: list[BaseDataElement]) -> list[BaseDataElement]:
        """The Refiner's own output for every region: unit ``box_features``, and ``mask_features`` where given masks.

        Args:
            images: (B, 3, H, W).
            boxes: for each image (K_i, 4) in network pixels.
            crops: not used.
            masks: for each image (K_i, h, w) or None.
            data_samples: B data samples.

        Returns:
            The data samples with fields (K_i, D), float32.
        """
        side, patch = self.backbone.image_size, self.backbone.patch_size
        size = grid_shape((side, side), patch)
        tokens = self.refiner(self.backbone.intermediates(images, self.refiner.layers), boxes, size)
        tokens = F.normalize(tokens.float(), dim=2)  # as a tower's dense map, whose unit tokens are pooled
        features = {'box_features': tokens.mean(1)}
        if masks is not None:
            # Every mask is a map of its own, read on the region grid of its box.
            maps, single = torch.cat(masks)[:, None].float(), list(torch.cat(boxes)[:, None])
            weights = region_tokens(maps, single, patch, size)  # (sum K, L, 1)
            features['mask_features'] = (weights * tokens).sum(1)
        for name, values in features.items():
            for sample, rows in zip(data_samples, F.normalize(values, dim=1).split([len(b) for b in boxes])):
                sample.set_data({name: rows})
        return data_samples


def global_to_local(refiner: torch.nn.Module, tower: torch.nn.Module, images: torch.Tensor, boxes: list[torch.Tensor],
                    crops: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Refined tokens of the regions, and the tokens of their context-free crops (eq. 8, 9).

    Args:
        refiner: a `Refiner`.
        tower: the frozen tower.
        images: (B, 3, H, W).
        boxes: for each image (C, 4) in network pixels.
        crops: (sum C, 3, s, s).

    Returns:
        Two tensors (sum C, L, D), the second without gradient.
    """
    size = grid_shape(crops.shape[2:], tower.patch_size)
    return refined_regions(refiner, tower, images, boxes, size), crop_tokens(tower, crops)


def refined_regions(refiner: torch.nn.Module, tower: torch.nn.Module, images: torch.Tensor, boxes: list[torch.Tensor],
                    size: tuple[int, int]) -> torch.Tensor:
    """Refined tokens of the regions (sum C, L, D).

    Args:
        refiner: a `Refiner`.
        tower: the frozen tower.
        images: (B, 3, H, W).
        boxes: for each image (C, 4) in network pixels.
        size: the region grid, the crops' own.
    """
    with torch.no_grad():
        maps = tower.intermediates(images, refiner.layers)
    return refiner(maps, boxes, size)


def local_to_global(refiner: torch.nn.Module, tower: torch.nn.Module, images: torch.Tensor, boxes: list[torch.Tensor],
                    crops: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The same the other way round: refined tokens of the crops, and the tokens of their regions (table 6b, L2G).

    Args:
        refiner: a `Refiner`.
        tower: the frozen tower.
        images: (B, 3, H, W).
        boxes: for each image (C, 4) in network pixels.
        crops: (sum C, 3, s, s).

    Returns:
        Two tensors (sum C, L, D), the second without gradient.
    """
    size, side = grid_shape(crops.shape[2:], tower.patch_size), crops.shape[3]
    with torch.no_grad():
        maps = tower.intermediates(crops, refiner.layers)
        region = region_tokens(tower.encode_dense(images, normalize=False), boxes, tower.patch_size, size)
    whole = [crops.new_tensor([[0, 0, side, side]])] * len(crops)
    return refiner(maps, whole, size), region


@torch.no_grad()
def crop_tokens(tower: torch.nn.Module, crops: torch.Tensor) -> torch.Tensor:
    """The dense tokens of whole crops, without gradient.

    Args:
        tower: the frozen tower.
        crops: (sum C, 3, s, s).

    Returns:
        (sum C, L, D), not normalised.
    """
    tokens = tower.encode_dense(crops, normalize=False).flatten(2).transpose(1, 2)  # (sum C, L, D)
    h, w = grid_shape(crops.shape[2:], tower.patch_size)
    return tokens.expand(-1, h * w, -1)  # L is 1 where there is no crop
