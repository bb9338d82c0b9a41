import torch
from torch import nn
from torch.nn import functional as F


class ConceptBank(nn.Module):
    """The newest projections of every concept: negatives and positives from earlier batches (CAUSE, sec. 3.3).

    Kept in half precision, since the public size, 2048 concepts of 100 features of 2048 channels, takes 1.7 GB in
    float32. It is saved with a checkpoint, so that a resumed training goes on with it.

    Args:
        num_codes: K.
        size: features kept of a concept.
        channels: C.
    """

    def __init__(self, num_codes: int, size: int, channels: int) -> None:
        super().__init__()
        self.register_buffer('features', torch.zeros(num_codes, size, channels, dtype=torch.half))
        self.register_buffer('written', torch.zeros(num_codes, dtype=torch.long))

    def content(self) -> tuple[torch.Tensor, torch.Tensor]:
        """All features (M, C) in float32 and their concepts (M,)."""
        size = self.features.shape[1]
        filled = torch.arange(size, device=self.written.device) < self.written[:, None]  # (K, size)
        return self.features[filled].float(), filled.nonzero()[:, 0]

    @torch.no_grad()
    def add(self, features: torch.Tensor, codes: torch.Tensor, seed: int) -> None:
        """Takes in a random half of the features of each concept, rounded up; the oldest go.

        Args:
            features: (M, C).
            codes: their concepts (M,).
            seed: of the draw.
        """
        number, size, _ = self.features.shape
        order = torch.randperm(len(codes), generator=torch.Generator().manual_seed(seed)).to(codes.device)
        features, codes = features[order], codes[order]
        hits = F.one_hot(codes, number)  # (M, K)
        place = (hits.cumsum(0) - 1).gather(1, codes[:, None])[:, 0]  # (M,) among those of the same concept
        taken = (hits.sum(0) + 1) // 2  # (K,)
        chosen = (place < taken[codes]) & (place >= taken[codes] - size)  # no slot is written twice
        slot = (self.written[codes] + place) % size
        self.features[codes[chosen], slot[chosen]] = features[chosen].half()
        self.written += taken
