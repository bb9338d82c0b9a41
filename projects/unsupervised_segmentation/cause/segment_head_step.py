from collections.abc import Sequence

import torch
from mmengine.dist import all_gather, get_rank

from rsc_mm.models.distillers.constraints.ema import EMATower
from rsc_mm.models.losses.region_alignment import mean_over_regions
from rsc_mm.registry import MODELS
from rsc_mm.utils.checkpoint import Weights

from .concept_bank import ConceptBank
from .contrast import contrast, thin
from .heads import SegmentHead
from .step import CAUSEStep, concept_head, step_seed


@MODELS.register_module()
class SegmentHeadStep(CAUSEStep):
    r"""Step 2: the segment head, by contrast between concepts; its teacher is its moving average.

    .. math:: L = \text{mean over all terms of } L_{batch}, L_{bank}

    with the `contrast` of each image's tokens to the teacher's of the batch, and to those of the bank where it has
    any. Tokens are thinned to one of each cell. Deviations from the public code: gradients are averaged over
    processes, which share the teacher's tokens and the bank, so that several processes train what one does on the joint
    batch (the public code never averages); an image without positives has no term (there: NaN); all images of a batch
    thin alike; no label is read, the linear probe trains in step 3 (there it shares this step's gradient clip). The
    average follows at the start of a step, so that the last one is not in it.

    Args:
        head: `TransformerHead` or `MLPHead` without ``channels``.
        projection_channels: C, in which tokens are compared.
        momentum: share of the average that stays in a step.
        cell: side of a cell in tokens.
        bank_size: features kept of a concept.
        temperature: of the contrast.
        **kwargs: see `CAUSEStep`.
    """

    started_parts = ('codebook', )

    def __init__(self, head: dict, projection_channels: int = 2048, momentum: float = 0.99, cell: int = 4,
                 bank_size: int = 100, temperature: float = 0.07, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.codebook.requires_grad_(False)
        self.student = SegmentHead(concept_head(head, self.backbone), projection_channels)
        self.ema = EMATower(self.student, momentum)
        self.bank = ConceptBank(len(self.codebook.weight), bank_size, projection_channels)
        self.cell = cell
        self.temperature = temperature

    def loss(self, inputs: torch.Tensor, data_samples: Sequence) -> dict[str, torch.Tensor]:
        """``loss_contrast``.

        Args:
            inputs: normalised images (B, 3, H, W), on each process as many.
            data_samples: not used.
        """
        self.ema.update_parameters(self.student)
        tokens, codes, grid = self.tokens(inputs)
        places = thin(grid, self.cell, step_seed()).to(codes.device)
        concepts, codes = self.codebook.weight[codes], codes[:, places]
        anchors = self.student(tokens, concepts, places)
        with torch.no_grad():
            keys = self.ema.module(tokens, concepts, places).flatten(0, 1)  # (B*n, C)
        own = torch.arange(codes.numel(), device=codes.device).view_as(codes) + get_rank() * codes.numel()  # (B, n)
        keys, key_codes = torch.cat(all_gather(keys)), torch.cat(all_gather(codes.flatten()))
        terms = self.terms(anchors, codes, keys, key_codes, own)
        self.bank.add(keys, key_codes, step_seed())
        return {'loss_contrast': mean_over_regions(terms)}

    def terms(self, anchors: torch.Tensor, codes: torch.Tensor, keys: torch.Tensor, key_codes: torch.Tensor,
              own: torch.Tensor) -> torch.Tensor:
        """The contrast of each image with the batch and with the bank, where it has positives.

        Args:
            anchors: unit vectors of the student (B, n, C).
            codes: their concepts (B, n).
            keys: unit vectors of the teacher, of all processes (M, C).
            key_codes: their concepts (M,).
            own: number of each anchor among the keys (B, n).

        Returns:
            (at most 2 B,).
        """
        likeness = self.codebook(self.codebook.weight)[codes]  # (B, n, K)
        stored, stored_codes = self.bank.content()
        return torch.cat([
            contrast(anchors, keys, likeness[..., key_codes], own, self.temperature),
            contrast(anchors, stored, likeness[..., stored_codes], temperature=self.temperature)])

    def exported(self) -> Weights:
        """Codebook and averaged head."""
        head = {f'head.{key}': value for key, value in self.ema.module.head.state_dict().items()}
        codebook = {f'codebook.{key}': value for key, value in self.codebook.state_dict().items()}
        return {**head, **codebook, 'tower_hash': self.tower_hash}
