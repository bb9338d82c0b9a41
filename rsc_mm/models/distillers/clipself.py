import torch
from mmengine.structures import BaseDataElement

from rsc_mm.registry import MODELS

from .alignment import CropAlignment
from .distiller import Distiller


@MODELS.register_module()
class CLIPSelf(Distiller):
    r"""CLIPSelf: dense regions learn from the tower's own image crops (Wu et al., ICLR 2024, sec. 3.2).

    .. math:: L = 1 - \frac{1}{K} \sum_k \cos\big(\mathrm{RoIAlign}(f_{dense}(X), b_k),\; f_{image}(X[b_k])\big)

    Unlike the public code, the mean runs over the regions of all processes and DDP averages the gradients.

    Args:
        backbone: the student tower; its readout gives the dense map.
        align_loss: distance of region and crop.
        data_preprocessor: see `RegionEncoder`.
        init_cfg: for MMEngine.
        teacher: another tower than a copy of the student, see `Distiller`.
        targets: ``dict(type='CachedTargets', path=FOLDER)``, see `Distiller`.

    Examples:
        >>> from rsc_mm.apis import load_config
        >>> model = MODELS.build(load_config('configs/shapes/clipself_grid.py').model)
        >>> model.init_weights()
        >>> images, crops, boxes = torch.zeros(1, 3, 64, 96), torch.zeros(1, 3, 64, 64), torch.tensor([[0., 0, 40, 40]])
        >>> list(model.loss(images, [boxes], crops, []))
        ['loss_align']
    """

    def __init__(self, backbone: dict, align_loss: dict = dict(type='RegionAlignmentLoss'),
                 data_preprocessor: dict | None = None, init_cfg: dict | None = None,
                 teacher: dict | None = None, targets: dict | None = None) -> None:
        super().__init__(backbone, data_preprocessor, init_cfg, teacher, targets)
        self.rla = CropAlignment(align_loss)

    def loss(self, images: torch.Tensor, boxes: list[torch.Tensor], crops: torch.Tensor,
             data_samples: list[BaseDataElement]) -> dict[str, torch.Tensor]:
        """The mean cosine distance of regions and crops.

        Args:
            images: (B, 3, H, W).
            boxes: for each image (K_i, 4) in network pixels.
            crops: the same regions cut from the images (sum K_i, 3, s, s).
            data_samples: B data samples.

        Returns:
            ``loss_align``.
        """
        return self.rla(self.backbone.encode_dense(images), boxes, self.backbone.patch_size, crops, data_samples,
                        self.teacher)
