"""Segment heads: from the tower's tokens and their concepts to 90 channels (CAUSE, sec. 3.3)."""
import torch
from torch import nn
from torch.nn import functional as F

from rsc_mm.registry import MODELS


@MODELS.register_module()
class MLPHead(nn.Module):
    r"""CAUSE-MLP: a linear and a hidden path, :math:`y = W x + W_2\,\mathrm{relu}(W_1 x)`, each after its own dropout.

    Args:
        channels: D of the tower's tokens.
        out_channels: of the result.
        dropout: share, in training.
    """

    def __init__(self, channels: int, out_channels: int = 90, dropout: float = 0.1) -> None:
        super().__init__()
        self.out_channels = out_channels
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(channels, out_channels)
        self.hidden = nn.Sequential(nn.Linear(channels, channels), nn.ReLU(), nn.Linear(channels, out_channels))

    def forward(self, tokens: torch.Tensor, concepts: torch.Tensor | None = None) -> torch.Tensor:
        """The head's output.

        Args:
            tokens: of the tower (B, N, D).
            concepts: not used.

        Returns:
            (B, N, out_channels).
        """
        return self.linear(self.dropout(tokens)) + self.hidden(self.dropout(tokens))


@MODELS.register_module()
class TransformerHead(nn.Module):
    """CAUSE-TR: a decoder layer whose queries are the concepts of the tokens, then an `MLPHead`.

    Self-attention of the concepts, cross-attention to the tokens, a feed-forward part, each with residual and
    LayerNorm; the tokens are added, and the sum is reduced. A learned position is added to queries and keys of the
    first and to the queries of the second attention, so a head is made for one grid. Both attentions have one head and
    no dropout, which nothing public states.

    Args:
        channels: D of the tower's tokens.
        num_tokens: N, tokens of an image.
        out_channels: of the result.
        hidden_channels: of the feed-forward part.
        dropout: share, in training.
    """

    def __init__(self, channels: int, num_tokens: int, out_channels: int = 90, hidden_channels: int = 2048,
                 dropout: float = 0.1) -> None:
        super().__init__()
        self.out_channels = out_channels
        self.position = nn.Parameter(nn.init.trunc_normal_(torch.empty(num_tokens, channels), std=0.02))
        self.self_attention, self.cross_attention = (nn.MultiheadAttention(channels, 1, batch_first=True)
                                                     for _ in range(2))
        self.feed_forward = nn.Sequential(nn.Linear(channels, hidden_channels), nn.ReLU(), nn.Dropout(dropout),
                                          nn.Linear(hidden_channels, channels), nn.Dropout(dropout))
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for _ in range(3))
        self.reduce = MLPHead(channels, out_channels, dropout)

    def forward(self, tokens: torch.Tensor, concepts: torch.Tensor) -> torch.Tensor:
        """The head's output.

        Args:
            tokens: of the tower (B, N, D).
            concepts: the nearest code of each token (B, N, D).

        Returns:
            (B, N, out_channels).

        Raises:
            ValueError: the images have another number of tokens.
        """
        if tokens.shape[1] != len(self.position):
            raise ValueError(f"TransformerHead field 'num_tokens': found {len(self.position)}, expected "
                             f'{tokens.shape[1]}, the tokens of an image of the pipeline: (side / patch size)^2')
        query = concepts + self.position
        x = self.norms[0](concepts + self.self_attention(query, query, concepts, need_weights=False)[0])
        x = self.norms[1](x + self.cross_attention(x + self.position, tokens, tokens, need_weights=False)[0])
        x = self.norms[2](x + self.feed_forward(x))
        return self.reduce(x + tokens)


class SegmentHead(nn.Module):
    """A head and the projection of its output in which the contrastive loss compares; the student of step 2.

    Args:
        head: `TransformerHead` or `MLPHead`.
        channels: of the projection.
    """

    def __init__(self, head: nn.Module, channels: int) -> None:
        super().__init__()
        self.head = head
        self.projection = nn.Linear(head.out_channels, channels)

    def forward(self, tokens: torch.Tensor, concepts: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        """Unit vectors (B, n, channels) of some tokens, in float32.

        Args:
            tokens: all tokens of the tower (B, N, D).
            concepts: their codes (B, N, D).
            places: numbers of the n tokens.
        """
        return F.normalize(self.projection(self.head(tokens, concepts)[:, places]).float(), dim=2)

    def freeze(self) -> 'SegmentHead':
        """No gradient; the dropout stays, as in the public code's teacher."""
        return self.requires_grad_(False)
