import torch
from mmengine.structures import BaseDataElement

from rsc_mm.registry import MODELS

from .alignment import NounAlignment
from .distiller import Distiller


@MODELS.register_module()
class RegionText(Distiller):
    r"""Region-Text: dense regions learn the noun that the teacher gave to their crop (RegionCLIP; CLIPSelf, table 6).

    .. math:: L = \mathrm{BCE}\big(s\,\mathrm{RoIAlign}(f_{dense}(X), b_k) \cdot e_t\big)

    The region-text file comes from ``tools/data/generate_region_text.py``; its nouns are embedded once.

    Args:
        backbone: the student tower.
        class_embeddings: the nouns' unit embeddings (T, D): a file or a config, see `load_class_embeddings`.
        text_loss: see `RegionTextLoss`.
        data_preprocessor: see `RegionEncoder`.
        init_cfg: for MMEngine.
        teacher: another tower than a copy of the student, see `Distiller`.
    """

    def __init__(self, backbone: dict, class_embeddings: str | dict | torch.Tensor,
                 text_loss: dict = dict(type='RegionTextLoss'), data_preprocessor: dict | None = None,
                 init_cfg: dict | None = None, teacher: dict | None = None) -> None:
        super().__init__(backbone, data_preprocessor, init_cfg, teacher)
        self.rla = NounAlignment(class_embeddings, text_loss)

    def loss(self, images: torch.Tensor, boxes: list[torch.Tensor], crops: torch.Tensor | None,
             data_samples: list[BaseDataElement]) -> dict[str, torch.Tensor]:
        """Region-text binary cross-entropy.

        Args:
            images: (B, 3, H, W).
            boxes: for each image (K_i, 4) in network pixels.
            crops: not used.
            data_samples: their ``labels`` (K_i,) are the nouns.

        Returns:
            ``loss_text``.
        """
        return self.rla(self.backbone.encode_dense(images), boxes, self.backbone.patch_size, crops, data_samples,
                        self.teacher)
