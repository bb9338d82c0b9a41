import torch
from mmengine.logging import MessageHub
from mmengine.structures import BaseDataElement

from rsc_mm.models.text import load_class_embeddings
from rsc_mm.registry import MODELS
from rsc_mm.utils.regions import pool_regions

from .distiller import Distiller


@MODELS.register_module()
class RegionText(Distiller):
    r"""Region-Text: dense regions learn the noun that the teacher gave to their crop (RegionCLIP; CLIPSelf, table 6).

    .. math:: L = \mathrm{BCE}\big(s\,\mathrm{RoIAlign}(f_{dense}(X), b_k) \cdot e_t\big)

    The region-text file comes from ``tools/generate_region_text.py``; its nouns are embedded once.

    Args:
        backbone: the student tower.
        class_embeddings: the nouns' unit embeddings (T, D): a file or a config, see `load_class_embeddings`.
        text_loss: see `RegionTextLoss`.
        data_preprocessor: see `RegionEncoder`.
        init_cfg: for MMEngine.
    """

    def __init__(self, backbone: dict, class_embeddings: str | dict | torch.Tensor,
                 text_loss: dict = dict(type='RegionTextLoss'), data_preprocessor: dict | None = None,
                 init_cfg: dict | None = None) -> None:
        super().__init__(backbone, data_preprocessor, init_cfg)
        self.class_embeddings_spec = class_embeddings
        self.text_loss = MODELS.build(text_loss)
        self.register_buffer('embeddings', torch.empty(0, self.backbone.embed_dim), persistent=False)

    def init_weights(self) -> None:
        """Load the tower, and embed the nouns.

        Raises:
            ValueError: the embeddings have another size than the tower's.
        """
        super().init_weights()
        embeddings = load_class_embeddings(self.class_embeddings_spec)
        if embeddings.shape[1] != self.backbone.embed_dim:
            raise ValueError(f"RegionText field 'class_embeddings': found size {embeddings.shape[1]}, expected the "
                             f"tower's {self.backbone.embed_dim}; embed the nouns with the tower's own text encoder")
        self.embeddings = embeddings.to(self.embeddings)

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
        regions = pool_regions(self.backbone.encode_dense(images), boxes, self.backbone.patch_size)
        labels = [sample.labels for sample in data_samples] or [torch.zeros(0, dtype=torch.long)]
        labels = torch.cat(labels).to(regions.device)  # (sum K_i,)
        iteration = MessageHub.get_current_instance().get_info('iter', 0)
        return {'loss_text': self.text_loss(regions, labels, self.embeddings, seed=iteration)}
