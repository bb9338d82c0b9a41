from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from mmengine.model import BaseModule

from rsc_mm.registry import MODELS

from .class_names import read_aliases
from .prompts import fill_prompts
from .queries import class_queries
from .split_attention import split_text_attention
from .text_encoder import CLIPTextEncoder
from .text_tower import load_text_tower


@MODELS.register_module()
class VocabularyEncoder(BaseModule):
    r"""Text features of every query and prompt by a text tower that may be trained (CAT-Seg, sec. 3.2 and 3.6).

    .. math:: E_{qp} = \mathrm{norm}(\mathrm{text}(\mathrm{template}_p(q)))

    A class may have several queries: 'dog; puppy', and at test by an alias too; whoever reads the features takes the
    best of them. While something of the tower trains, texts are encoded anew in every step; at test, and for a frozen
    tower, once for each vocabulary.
    The tower is a part of the model and of its checkpoint, so that classes can change later.

    Args:
        classes: T classes of training: list, vocabulary or file, see `read_class_names`; 'dog; puppy' is one class with
            two queries.
        arch: the text tower, see `CLIPTextEncoder`.
        prompts: P templates or the name of a set, see `PROMPTS`. CAT-Seg's fine-tuned text has one; its frozen variant
            of the first version OpenAI's 80, 'imagenet'.
        synonyms: separator of synonyms in a name, of which the first is used ('sofa, couch, lounge' of A-847); None
            takes names as they are.
        test_classes: classes of validation and test, 'dog; puppy' being one with two queries; None: those of training.
        aliases: queries of some classes of test in the place of their names, such as those of a background, between
            semicolons, see `read_aliases`. What a vocabulary itself holds is not read: the public models take names
            as they are.
        init_cfg: ``dict(type='Pretrained', checkpoint=PATH)`` with the tower, in any form of `CLIPTextEncoder`.

    Raises:
        ValueError: a field is out of its range, or a class is named twice.
    """

    def __init__(self, classes: str | Path | Sequence[str], arch: str | dict,
                 prompts: str | Sequence[str] = ('A photo of a {} in the scene', ), synonyms: str | None = ',',
                 test_classes: str | Path | Sequence[str] | None = None,
                 aliases: str | Path | Mapping[str, str] | None = None, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.text_encoder = CLIPTextEncoder(arch, checkpoint=None)
        split_text_attention(self.text_encoder.tower)
        self.prompts = prompts
        self.synonyms = synonyms
        self._aliases = read_aliases(aliases)
        self.train_queries = class_queries(classes)
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
        return tuple(self._queries[0])

    @property
    def counts(self) -> list[int]:
        """Number of queries of each class, which stand side by side in the features."""
        return [len(texts) for texts in self._queries[1]]

    @property
    def _queries(self) -> tuple[list[str], list[list[str]]]:
        return self.train_queries if self.training else self.test_queries

    def set_vocabulary(self, classes: str | Path | Sequence[str]) -> None:
        """Change the classes of test.

        Args:
            classes: T classes: list, vocabulary or file; 'dog; puppy' is one with two queries.

        Raises:
            ValueError: a name is empty, or a class is named twice.
        """
        self.test_queries = class_queries(classes, self._aliases)
        self._forget()

    def forward(self) -> torch.Tensor:
        """Unit features of the queries.

        Returns:
            (Q, P, D) float32; Q is T where every class has one.
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
        queries = [query for texts in self._queries[1] for query in texts]
        words = [query.split(self.synonyms)[0] if self.synonyms else query for query in queries]
        texts = [text for word in words for text in fill_prompts(word, self.prompts)]
        return encode(texts).unflatten(0, (len(words), -1))  # (Q, P, D)

    def _forget(self) -> None:
        self._kept = None
