from collections.abc import Sequence

import torch

from rsc_mm.registry import MODELS

from .step import CAUSEStep


@MODELS.register_module()
class CodebookStep(CAUSEStep):
    """Step 1: the codebook, by the modularity of the tower's tokens.

    Args:
        **kwargs: see `CAUSEStep`.
    """

    def loss(self, inputs: torch.Tensor, data_samples: Sequence) -> dict[str, torch.Tensor]:
        """``loss_modularity``.

        Args:
            inputs: normalised images (B, 3, H, W).
            data_samples: not used.
        """
        tokens = self.extract_feat(inputs).flatten(2).transpose(1, 2)  # (B, N, D)
        return {'loss_modularity': self.codebook.loss(tokens)}
