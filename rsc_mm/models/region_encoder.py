import torch
from mmengine.model import BaseModel
from mmengine.structures import BaseDataElement
from torch.nn import functional as F

from rsc_mm.registry import MODELS
from rsc_mm.utils.regions import pool_masks, pool_regions


@MODELS.register_module()
class RegionEncoder(BaseModel):
    """A CLIP tower that describes regions of an image; base class of the distillers.

    `predict` gives each data sample the unit features that `RegionClassificationMetric` compares with class
    embeddings (CLIPSelf, sec. 3.1 and table 2): RoIAligned boxes, pooled masks, and image crops as the upper bound.

    Args:
        backbone: the tower, such as ``dict(type='EVACLIPViT')``.
        data_preprocessor: ``dict(type='RegionPreprocessor')``, which turns decoded images and regions into batches.
        init_cfg: for MMEngine; the tower's weights come from the backbone's own ``init_cfg``.
        unit_tokens: whether the dense map's tokens have length 1 before they are pooled; False for towers that DeCLIP
            or DenseRC trained on EVA-CLIP.

    Raises:
        ValueError: the preprocessor's patch is not the tower's.
    """

    def __init__(self, backbone: dict, data_preprocessor: dict | None = None, init_cfg: dict | None = None,
                 unit_tokens: bool = True) -> None:
        # Built here, since MMEngine would look for the type in the default scope only.
        super().__init__(data_preprocessor and MODELS.build(data_preprocessor), init_cfg)
        self.backbone = MODELS.build(backbone)
        self.unit_tokens = unit_tokens
        prepared = getattr(self.data_preprocessor, 'patch_size', self.backbone.patch_size)
        if prepared != self.backbone.patch_size:
            raise ValueError(f'model.data_preprocessor.patch_size: found {prepared}, expected '
                             f"{self.backbone.patch_size}, the patch of the backbone's 'arch'")

    def forward(self, images: torch.Tensor, boxes: list[torch.Tensor], crops: torch.Tensor | None = None,
                masks: list[torch.Tensor] | None = None, data_samples: list[BaseDataElement] | None = None,
                mode: str = 'tensor') -> torch.Tensor | list[BaseDataElement] | dict[str, torch.Tensor]:
        """MMEngine's entry: `loss`, `predict`, or for 'tensor' the dense map.

        Args:
            images: normalised images (B, 3, H, W).
            boxes: for each image (K_i, 4) in network pixels.
            crops: normalised image crops (sum K_i, 3, s, s).
            masks: for each image (K_i, h, w) on the grid.
            data_samples: B data samples.
            mode: 'loss', 'predict' or 'tensor', as MMEngine's loops set it.
        """
        if mode == 'loss':
            return self.loss(images, boxes, crops, data_samples)
        if mode == 'predict':
            return self.predict(images, boxes, crops, masks, data_samples)
        return self.backbone.encode_dense(images)

    def predict(self, images: torch.Tensor, boxes: list[torch.Tensor], crops: torch.Tensor | None,
                masks: list[torch.Tensor] | None, data_samples: list[BaseDataElement]) -> list[BaseDataElement]:
        """Unit features of every region: ``box_features``, and where given ``mask_features`` and ``crop_features``.

        Args:
            images: (B, 3, H, W).
            boxes: for each image (K_i, 4) in network pixels.
            crops: (sum K_i, 3, s, s) or None.
            masks: for each image (K_i, h, w) or None.
            data_samples: B data samples.

        Returns:
            The data samples with fields (K_i, D), float32.
        """
        dense = self.backbone.encode_dense(images, self.unit_tokens)
        features = {'box_features': pool_regions(dense, boxes, self.backbone.patch_size)}
        if masks is not None:
            features['mask_features'] = pool_masks(dense, masks)
        if crops is not None:
            features['crop_features'] = self.backbone.encode_image(crops).float()
        for name, values in features.items():
            for sample, rows in zip(data_samples, F.normalize(values, dim=1).split([len(b) for b in boxes])):
                sample.set_data({name: rows})
        return data_samples
