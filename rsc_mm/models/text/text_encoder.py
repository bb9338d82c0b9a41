from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from rsc_mm.registry import MODELS

from .hub_tokenizer import HubTokenizer
from .text_tower import build_text_tower, load_text_tower, text_fields, tokenize


@MODELS.register_module()
class CLIPTextEncoder(nn.Module):
    r"""A frozen CLIP text tower: texts in, embeddings out (CLIP, sec. 2.4; EVA-CLIP, sec. 2).

    .. math:: e(t) = W^T \mathrm{LN}(\mathrm{transformer}(\mathrm{BPE}(t))_{EOT})

    Attention is causal, so positions after the end-of-text token never reach the embedding: a batch is cut to its
    longest text instead of filling the whole context, which changes nothing but the time. SigLIP (Zhai et al., ICCV
    2023) attends to everything and reads the last position, so that the padding is a part of its input.

    Args:
        arch: open_clip's config name ('EVA02-B-16', 'ViT-B-16-quickgelu', 'PE-Core-B-16', 'ViT-B-16-SigLIP2', ...) or
            a dict of embed_dim and, where they differ from ViT-B-16's, context_length, width, heads, layers,
            mlp_ratio, ls_init_value, quick_gelu; for SigLIP also open_clip's vocab_size, no_causal_mask, pool_type,
            proj_bias, norm_kwargs, act_kwargs, hf_tokenizer_name and tokenizer_kwargs. A tokenizer with a name is read
            from a model hub or a folder when it is first used, see `HubTokenizer`.
        checkpoint: file or state dict with the tower (original EVA-CLIP, open_clip, OpenAI, ours), or
            'open_clip::MODEL/TAG', the only form that downloads. None: random weights, for training or tests.
        batch_size: texts per forward pass.

    Raises:
        ValueError: ``arch`` is unknown or of another family.
        FileNotFoundError: there is no such checkpoint.
        CheckpointError: the checkpoint holds no text tower, or one with other keys, shapes or activation.
    """

    def __init__(self, arch: str | dict, checkpoint: str | Path | dict | None, batch_size: int = 256) -> None:
        super().__init__()
        self.fields = text_fields(arch)
        self.tower = build_text_tower(self.fields)
        self.tokenize = HubTokenizer(self.fields) if 'hf_tokenizer_name' in self.fields else tokenize
        self.batch_size = batch_size
        if checkpoint is not None:
            load_text_tower(self.tower, self.fields, checkpoint)
        self.requires_grad_(False).eval()

    @property
    def embed_dim(self) -> int:
        """Size D of the embeddings."""
        return self.tower.output_dim

    def forward(self, texts: list[str]) -> torch.Tensor:
        """Unit embeddings, as `encode` returns them.

        Args:
            texts: T texts.

        Returns:
            (T, D) float32.
        """
        return self.encode(texts)

    @torch.no_grad()
    def encode(self, texts: list[str], normalize: bool = True) -> torch.Tensor:
        """Embeds texts without gradient, in float32 whatever the autocast.

        Args:
            texts: T texts.
            normalize: divide by the L2 norm.

        Returns:
            (T, D) float32 on the tower's device.

        Raises:
            ValueError: a text does not fit the context; it is named, never cut.
            OSError: the tokenizer of a model hub is not at hand.
        """
        return self.encode_with_gradient(texts, normalize)

    def encode_with_gradient(self, texts: list[str], normalize: bool = True) -> torch.Tensor:
        """`encode` for those who train parameters of ``tower`` (CAT-Seg); the encoder itself freezes all of them.

        Args:
            texts: T texts.
            normalize: divide by the L2 norm.

        Returns:
            (T, D) float32 on the tower's device.

        Raises:
            ValueError: a text does not fit the context.
        """
        tokens = self.tokenize(texts, self.tower.context_length)
        device = self.tower.positional_embedding.device
        embeddings = torch.empty(len(texts), self.embed_dim, device=device)
        # Texts of like length share a batch: a batch costs as much as its longest text.
        order = tokens.argmax(dim=1).argsort(stable=True)
        with torch.autocast(device.type, enabled=False):
            for rows in order.split(self.batch_size):
                embeddings[rows.to(device)] = self._embed(tokens[rows].to(device))
        return F.normalize(embeddings, dim=1) if normalize else embeddings

    def train(self, mode: bool = True) -> 'CLIPTextEncoder':
        """Stays in eval mode, whatever is asked: the tower is frozen.

        Args:
            mode: ignored.
        """
        return super().train(False)

    def _embed(self, tokens: torch.Tensor) -> torch.Tensor:
        """Tokens (T, L) -> embeddings (T, D)."""
        if self.tower.attn_mask is None or self.tower.pool_type != 'argmax':
            return self.tower(tokens)
        tower, end = self.tower, tokens.argmax(dim=1)  # end-of-text has the highest id
        length = int(end.max()) + 1
        x = tower.token_embedding(tokens[:, :length]) + tower.positional_embedding[:length]
        x = tower.transformer(x, attn_mask=tower.attn_mask[:length, :length])
        return tower.ln_final(x[torch.arange(len(x), device=x.device), end]) @ tower.text_projection
