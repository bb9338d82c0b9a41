"""The tiny Shapes CLIP while it is trained: the two towers and the loss."""
import copy
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rsc_mm.models.backbones import EVACLIPViT
from rsc_mm.models.region_preprocessor import CLIP_MEAN, CLIP_STD
from rsc_mm.models.text.text_tower import build_text_tower, text_fields

ARCH = dict(img_size=64, patch_size=8, embed_dim=192, depth=6, num_heads=3, num_classes=128, ref_feat_shape=(8, 8))
TEXT_ARCH = dict(embed_dim=128, context_length=32, width=64, heads=4, layers=4)


class RoundedRope(nn.Module):
    """The rotary embedding computed in float32 and rounded to bfloat16, so that the rotation stays in bfloat16."""

    def __init__(self, rope: nn.Module) -> None:
        super().__init__()
        self.rope = rope

    def get_embed(self, shape: tuple[int, int]) -> Tensor:
        """Sine and cosine (N, 2*head_dim) of a grid (h, w)."""
        return self.rope.get_embed(shape=shape).bfloat16()


class ShapesCLIP(nn.Module):
    """The two towers in float32, and a copy of the image tower that computes, in bfloat16 if that is faster.

    Args:
        arch: Of the image tower.
        bfloat16: False: the copy is in float32.
    """

    def __init__(self, arch: dict = ARCH, bfloat16: bool = True) -> None:
        super().__init__()
        self.image = EVACLIPViT(arch, frozen_stages=-1)
        self.text = build_text_tower(text_fields(TEXT_ARCH))
        self.logit_scale = nn.Parameter(torch.tensor(math.log(14.0)))
        self.dtype = torch.bfloat16 if bfloat16 else torch.float32
        worker = copy.deepcopy(self.image)
        if bfloat16:
            worker.vit.rope = RoundedRope(worker.vit.rope)
        for block in worker.vit.blocks:
            block.attn.fused_attn = False  # plain matrix products are faster on a CPU at 65 tokens
        self.worker = [worker]  # in a list: neither optimised nor saved
        self.refresh()

    def refresh(self) -> None:
        """Copies the float32 weights into the copy that computes; buffers (RoPE) stay float32."""
        for mine, theirs in zip(self.worker[0].parameters(), self.image.parameters()):
            mine.data = theirs.data.to(self.dtype)
            mine.grad = None

    def collect_gradients(self) -> None:
        """Moves the gradients of the copy that computes to the float32 weights, none where it has none."""
        for mine, theirs in zip(self.worker[0].parameters(), self.image.parameters()):
            theirs.grad = mine.grad.float() if mine.grad is not None else None

    def encode_image(self, images: Tensor) -> Tensor:
        """uint8 images (B, 3, 64, 64) -> unit embeddings (B, D) float32."""
        return F.normalize(self.worker[0].encode_image(self.normalise(images)).float(), dim=1)

    def normalise(self, images: Tensor) -> Tensor:
        """uint8 images (B, 3, H, W) -> what the copy reads, in its precision."""
        mean, std = (images.new_tensor(x, dtype=torch.float)[:, None, None] for x in (CLIP_MEAN, CLIP_STD))
        return ((images / 255 - mean) / std).to(self.dtype)

    def encode_text(self, tokens: Tensor) -> Tensor:
        """Tokens (T, L) -> unit embeddings (T, D), as `CLIPTextEncoder` but with gradient."""
        end, text = tokens.argmax(dim=1), self.text  # the end-of-text token has the highest id
        length = int(end.max()) + 1
        x = text.token_embedding(tokens[:, :length]) + text.positional_embedding[:length]
        x = text.transformer(x, attn_mask=text.attn_mask[:length, :length])
        x = text.ln_final(x[torch.arange(len(x), device=x.device), end]) @ text.text_projection
        return F.normalize(x, dim=1)


def contrastive_loss(logits: Tensor, caption: Tensor, true: Tensor) -> Tensor:
    r"""Symmetric InfoNCE (CLIP, sec. 2.3) over unique captions, without false negatives.

    .. math:: L = -\frac{1}{2B} \sum_i \Big[\log \frac{e^{z_{i c_i}}}{\sum_{u \notin F_i} e^{z_{iu}}}
              + \log \frac{e^{z_{i c_i}}}{\sum_{k \notin G_i} e^{z_{k c_i}}}\Big]

    F_i holds the captions other than c_i that are true of image i; G_i the images other than i of which c_i is true.

    Args:
        logits: z (B, U), image x unique caption.
        caption: c (B,), index of each image's own caption.
        true: (B, U) bool, whether a caption is true of an image.

    Returns:
        Scalar.
    """
    own = F.one_hot(caption, logits.shape[1]).bool()
    image_loss = F.cross_entropy(logits.masked_fill(true & ~own, -torch.inf), caption)
    itself = torch.arange(len(logits), device=logits.device)
    rows = logits[:, caption].t()  # (B, B): caption of i against image k
    other = true[:, caption].t() & (itself[:, None] != itself)
    text_loss = F.cross_entropy(rows.masked_fill(other, -torch.inf), itself)
    return (image_loss + text_loss) / 2
