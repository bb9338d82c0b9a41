"""Embeddings of the names that users ask for."""
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from rsc_mm.models.text import CLIPTextEncoder, class_embeddings
from rsc_mm.utils.checkpoint import read_checkpoint, unwrap

CLIP_TEMPERATURE = 0.01


class TextEmbeddings:
    """Unit embeddings of texts, each made once; the text tower is built when it is first needed.

    Args:
        build: gives the text tower, and the temperature with which its CLIP was trained.
        prompts: prompt set or templates.
        cache_dir: where embeddings are kept on disk; None: in memory only.
    """

    def __init__(self, build: Callable[[], tuple[CLIPTextEncoder, float]], prompts: str | Sequence[str],
                 cache_dir: str | Path | None = None) -> None:
        self._build, self._prompts, self._cache_dir = build, prompts, cache_dir
        self._built: tuple[CLIPTextEncoder, float] | None = None
        self._known: dict[str, torch.Tensor] = {}

    @property
    def encoder(self) -> CLIPTextEncoder:
        """The text tower."""
        return self._build_once()[0]

    @property
    def temperature(self) -> float:
        """The temperature with which the CLIP was trained."""
        return self._build_once()[1]

    def __call__(self, texts: Sequence[str]) -> torch.Tensor:
        """Embeddings of texts, see `class_embeddings`.

        Args:
            texts: Q texts.

        Returns:
            (Q, D) float32 on the CPU.
        """
        missing = [text for text in dict.fromkeys(texts) if text not in self._known]
        if missing:
            made = class_embeddings(missing, self.encoder, self._prompts, self._cache_dir)
            self._known.update(zip(missing, made))
        return torch.stack([self._known[text] for text in texts])

    def _build_once(self) -> tuple[CLIPTextEncoder, float]:
        if self._built is None:
            with torch.random.fork_rng(devices=()):  # as in `load`
                self._built = self._build()
        return self._built


def read_text_tower(arch: str | dict, checkpoint: str | Path | dict) -> tuple[CLIPTextEncoder, float]:
    """A text tower with its weights, and the temperature that stands beside them (0.01, CLIP's own, if none does).

    Args:
        arch: as `CLIPTextEncoder` takes it.
        checkpoint: file, 'open_clip::MODEL/TAG', or what a file holds.
    """
    if str(checkpoint).startswith('open_clip::'):
        return CLIPTextEncoder(arch, checkpoint), CLIP_TEMPERATURE
    encoder = CLIPTextEncoder(arch, checkpoint)
    weights = unwrap(checkpoint if isinstance(checkpoint, dict) else read_checkpoint(checkpoint))
    scale = weights.get('logit_scale')
    return encoder, CLIP_TEMPERATURE if scale is None else float((-scale.float()).exp())
