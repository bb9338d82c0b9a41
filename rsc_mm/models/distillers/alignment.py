"""Region-Language Alignment: what a region of the student's dense map is pulled to (R-SC, eq. 1)."""
import torch
from mmengine.logging import MessageHub
from mmengine.structures import BaseDataElement
from torch import nn

from rsc_mm.models.targets import crop_embeddings
from rsc_mm.models.text import load_class_embeddings
from rsc_mm.registry import MODELS
from rsc_mm.utils.regions import pool_regions


@MODELS.register_module()
class CropAlignment(nn.Module):
    r"""A region is pulled to the teacher's embedding of its image crop (CLIPSelf, sec. 3.2).

    .. math:: L = 1 - \frac{1}{K} \sum_k \cos\big(\mathrm{RoIAlign}(f_{dense}(X), b_k),\; f_{image}(X[b_k])\big)

    Args:
        align_loss: distance of region and crop.
    """

    def __init__(self, align_loss: dict = dict(type='RegionAlignmentLoss')) -> None:
        super().__init__()
        self.align_loss = MODELS.build(align_loss)

    def prepare(self, student: nn.Module, teacher: nn.Module) -> None:
        """Check once that student and teacher share an embedding space.

        Args:
            student: the tower in training.
            teacher: the frozen tower.

        Raises:
            ValueError: their embedding sizes differ.
        """
        if student.embed_dim != teacher.embed_dim:
            raise ValueError(f"distiller field 'teacher': found embedding size {teacher.embed_dim}, expected the "
                             f"student's {student.embed_dim}: regions are pulled to the teacher's crops")

    def forward(self, dense: torch.Tensor, boxes: list[torch.Tensor], patch_size: int, crops: torch.Tensor,
                data_samples: list[BaseDataElement], teacher: nn.Module) -> dict[str, torch.Tensor]:
        """The loss of a batch.

        Args:
            dense: the student's map (B, D, h, w).
            boxes: for each image (K_i, 4) in network pixels.
            patch_size: the student's: network pixels of a cell of ``dense``. The teacher's may be another.
            crops: the same regions cut from the images (sum K_i, 3, s, s), but for those with a cached target.
            data_samples: hold the cached targets where there are any.
            teacher: the frozen tower.

        Returns:
            ``loss_align``.
        """
        regions = pool_regions(dense, boxes, patch_size)
        with torch.no_grad():
            targets = crop_embeddings(data_samples, crops, teacher.encode_image)
        return {'loss_align': self.align_loss(regions, targets)}


@MODELS.register_module()
class NounAlignment(nn.Module):
    r"""A region learns the noun that the teacher gave to its crop (RegionCLIP; CLIPSelf, table 6).

    .. math:: L = \mathrm{BCE}\big(s\,\mathrm{RoIAlign}(f_{dense}(X), b_k) \cdot e_t\big)

    Args:
        class_embeddings: the nouns' unit embeddings (T, D): a file or a config, see `load_class_embeddings`.
        text_loss: see `RegionTextLoss`.
    """

    def __init__(self, class_embeddings: str | dict | torch.Tensor,
                 text_loss: dict = dict(type='RegionTextLoss')) -> None:
        super().__init__()
        self.class_embeddings_spec = class_embeddings
        self.text_loss = MODELS.build(text_loss)
        self.register_buffer('embeddings', torch.empty(0, 0), persistent=False)

    def prepare(self, student: nn.Module, teacher: nn.Module) -> None:
        """Embed the nouns once.

        Args:
            student: the tower in training.
            teacher: not used.

        Raises:
            ValueError: the embeddings have another size.
        """
        embeddings = load_class_embeddings(self.class_embeddings_spec)
        if embeddings.shape[1] != student.embed_dim:
            raise ValueError(f"RegionText field 'class_embeddings': found size {embeddings.shape[1]}, expected the "
                             f"tower's {student.embed_dim}; embed the nouns with the tower's own text encoder")
        self.embeddings = embeddings.to(self.embeddings)

    def forward(self, dense: torch.Tensor, boxes: list[torch.Tensor], patch_size: int, crops: torch.Tensor | None,
                data_samples: list[BaseDataElement], teacher: nn.Module) -> dict[str, torch.Tensor]:
        """The loss of a batch.

        Args:
            dense: the student's map (B, D, h, w).
            boxes: for each image (K_i, 4) in network pixels.
            patch_size: the student's: network pixels of a cell of ``dense``.
            crops: not used.
            data_samples: their ``labels`` (K_i,) are the nouns.
            teacher: not used.

        Returns:
            ``loss_text``.
        """
        regions = pool_regions(dense, boxes, patch_size)
        labels = [sample.labels for sample in data_samples] or [torch.zeros(0, dtype=torch.long)]
        labels = torch.cat(labels).to(regions.device)  # (sum K_i,)
        iteration = MessageHub.get_current_instance().get_info('iter', 0)
        return {'loss_text': self.text_loss(regions, labels, self.embeddings, seed=iteration)}
