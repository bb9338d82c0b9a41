from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from mmengine.model import BaseModule

from rsc_mm.registry import MODELS

from .class_names import read_class_names
from .prompts import fill_prompts
from .split_attention import split_text_attention
from .text_encoder import CLIPTextEncoder
from .text_tower import load_text_tower


@MODELS.register_module()
class VocabularyEncoder(BaseModule):
    r"""Text features of every class and prompt by a text tower that may be trained (CAT-Seg, sec. 3.2 and 3.6).

    .. math:: E_{cp} = \mathrm{norm}(\mathrm{text}(\mathrm{template}_p(c)))

    While something of the tower trains, texts are encoded anew in every step; at test, and for a frozen tower, once
    for each vocabulary. The tower is a part of the model and of its checkpoint, so that classes can change later.

    Args:
        classes: T classes of training: list, vocabulary or file, see `read_class_names`.
        arch: the text tower, see `CLIPTextEncoder`.
        prompts: P templates or the name of a set, see `PROMPTS`. CAT-Seg's fine-tuned text has one; its frozen variant
            of the first version OpenAI's 80, 'imagenet'.
        synonyms: separator of synonyms in a name, of which the first is used ('sofa, couch, lounge' of A-847); None
            takes names as they are.
        test_classes: classes of validation and test; None: those of training.
        init_cfg: ``dict(type='Pretrained', checkpoint=PATH)`` with the tower, in any form of `CLIPTextEncoder`.

    Raises:
        ValueError: a field is out of its range, or a class is named twice.
    """

    def __init__(self, classes: str | Path | Sequence[str], arch: str | dict,
                 prompts: str | Sequence[str] = ('A photo of a {} in the scene', ), synonyms: str | None = ',',
                 test_classes: str | Path | Sequence[str] | None = None, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.text_encoder = CLIPTextEncoder(arch, checkpoint=None)
        split_text_attention(self.text_encoder.tower)
        self.prompts = prompts
        self.synonyms = synonyms
        self._train_classes = _names(classes)
        self._kept: torch.Tensor | None = None
        self.set_vocabulary(classes if test_classes is None else test_classes)
        self.register_load_state_dict_post_hook(lambda module, _: module._forget())

    @property
    def tower(self) -> torch.nn.Module:
        """open_clip's text transformer."""
        return self.text_encoder.tower

    @property
    def classes(self) -> tuple[str, ...]:
        """The T classes: in training mode those of training, else those of test."""
        return self._train_classes if self.training else self._test_classes

    def set_vocabulary(self, classes: str | Path | Sequence[str]) -> None:
        """Change the classes of test.

        Args:
            classes: T classes: list, vocabulary or file.

        Raises:
            ValueError: a name is empty, or a class is named twice.
        """
        self._test_classes = _names(classes)
        self._forget()

    def forward(self) -> torch.Tensor:
        """Unit features of the classes.

        Returns:
            (T, P, D) float32.
        """
        if torch.is_grad_enabled() and any(p.requires_grad for p in self.tower.parameters()):
            return self._encode(self.text_encoder.encode_with_gradient)
        if self._kept is None or self._kept.device != self.tower.positional_embedding.device:
            self._kept = self._encode(self.text_encoder.encode)
        return self._kept

    def init_weights(self) -> None:
        """Load ``init_cfg.checkpoint``; without ``init_cfg`` the weights stay random."""
        if self.init_cfg and not self.is_init:
            load_text_tower(self.tower, self.text_encoder.fields, self.init_cfg['checkpoint'])
            self._forget()
        self._is_init = True

    def train(self, mode: bool = True) -> 'VocabularyEncoder':
        """Training mode: what was kept of another state of the weights is forgotten.

        Args:
            mode: True for training.
        """
        self._forget()
        return super().train(mode)

    def _encode(self, encode: Callable[[list[str]], torch.Tensor]) -> torch.Tensor:
        words = [name.split(self.synonyms)[0] if self.synonyms else name for name in self.classes]
        texts = [text for word in words for text in fill_prompts(word, self.prompts)]
        return encode(texts).unflatten(0, (len(words), -1))  # (T, P, D)

    def _forget(self) -> None:
        self._kept = None


def _names(classes: str | Path | Sequence[str]) -> tuple[str, ...]:
    names = tuple(read_class_names(classes))
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"VocabularyEncoder field 'classes': found {twice[:8]} more than once, expected names that "
                         'differ; give synonyms to one of them')
    return names
