from collections.abc import Sequence
from pathlib import Path

import torch
from mmengine.logging import print_log
from torch import nn

from rsc_mm.models.text import BACKGROUND, load_class_embeddings, read_aliases, read_base_classes, read_class_names
from rsc_mm.models.text.class_embeddings import spec_aliases, spec_source


class VocabularyHead(nn.Module):
    """The vocabulary of a box head, which may change after training: mixed into a head with a `TextClassifier`.

    Embeddings are made when weights are initialised or at the first use, and saved with the weights: a detector that
    reads a checkpoint needs the text tower only for names that the checkpoint does not hold, or for other templates.

    Attributes:
        fc_cls: the `TextClassifier`, which the head's constructor makes.
        last_word: what the row after those of the T classes embeds.
        field: of the detector that holds the head, for messages.
        classes: T names in label order.
        is_base: (T+1,) bool, True for base classes and the last word.
    """

    last_word = BACKGROUND
    field = 'roi_head.bbox_head'

    def start_vocabulary(self, classes: str | Path | Sequence[str], base_classes: str | Path | Sequence[str],
                         class_embeddings: torch.Tensor | str | dict) -> None:
        """Name the first classes, at the end of the head's constructor.

        Args:
            classes: T classes in label order, as `read_class_names` takes them.
            base_classes: those that training annotates, as `read_base_classes` takes them.
            class_embeddings: where their embeddings come from, as `load_class_embeddings` takes it.

        Raises:
            ValueError: a class is named twice, or a tensor's shape does not fit.
        """
        self.base_classes = frozenset(read_base_classes(base_classes))
        self.class_embeddings = class_embeddings
        self.aliases: dict[str, str] = {}
        self.register_buffer('is_base', torch.zeros(0, dtype=torch.bool), persistent=False)
        self._name_classes(classes)
        if isinstance(class_embeddings, torch.Tensor):  # all others need files, which a checkpoint may make needless
            self.embed_classes()

    def init_weights(self) -> None:
        """Random weights of the layers, and the class embeddings."""
        super().init_weights()
        self.embed_classes()

    def set_vocabulary(self, classes: str | Path | Sequence[str],
                       class_embeddings: torch.Tensor | str | dict | None = None) -> None:
        """Change the classes, also after training. Those among the base classes stay base, all others are novel.

        Args:
            classes: T classes in label order, as `read_class_names` takes them.
            class_embeddings: as in the constructor; a tensor or .npy has a row for each class and that of the last word
                at the end. None: what the head was built with, which must then be a dict with a text tower or a file
                with names, unless all names are in the checkpoint that was loaded.

        Raises:
            ValueError: embeddings and classes do not fit, or a class is named twice.
            FileNotFoundError: names are not in the loaded checkpoint, and there is no file with their embeddings or the
                text tower.
        """
        self.class_embeddings = self.class_embeddings if class_embeddings is None else class_embeddings
        self._name_classes(classes)
        self.embed_classes()

    def embed_classes(self) -> None:
        """Make or read the embeddings of the classes, if they have none yet; errors as `set_vocabulary`."""
        if self.fc_cls.has_embeddings:
            return
        names, spec, source = [*self.classes, self.last_word], self.class_embeddings, None
        words = names
        if isinstance(spec, dict):
            aliases, source = spec_aliases(spec, self.aliases), spec_source(spec)
            words = [aliases.get(name, name) for name in names]
        rows = self._saved_rows(names, words, source)
        new = [name for name, word in zip(names, words) if word not in rows]
        if new:
            rows.update(zip([word for word in words if word not in rows], self._load_rows(new)))
        self.fc_cls.set_embeddings(torch.stack([rows[word] for word in words]), names, words, source)

    def _saved_rows(self, names: list[str], words: list[str], source: list | None) -> dict[str, torch.Tensor]:
        """Rows of the loaded checkpoint by prompted text, where ``class_embeddings`` asks for the same ones."""
        spec, saved = self.class_embeddings, self.fc_cls.saved
        if isinstance(spec, torch.Tensor) or not saved:
            return {}
        if not isinstance(spec, dict):  # a file: read where it is
            return {} if Path(spec).is_file() else {name: saved[name] for name in names if name in saved}
        if self.fc_cls.saved_source is None:  # from a file or another code: rows of labels, however they were embedded
            return {word: saved[name] for name, word in zip(names, words) if name in saved}
        if self.fc_cls.saved_source != source:
            print_log("class embeddings: made anew, since the field 'class_embeddings' has another text tower or other "
                      'prompts than those saved with the detector', 'current')
            return {}
        return {word: saved[word] for word in words if word in saved}

    def _load_rows(self, names: list[str]) -> torch.Tensor:
        try:
            return load_class_embeddings(self.class_embeddings, names, self.aliases)
        except FileNotFoundError as error:
            some = f'{names[:5]}' + (f' and {len(names) - 5} more' if len(names) > 5 else '')
            raise FileNotFoundError(f"{error}. The detector's field '{self.field}.class_embeddings' needs it for "
                                    f'the names {some}, which are not saved with the detector') from error

    def _name_classes(self, classes: str | Path | Sequence[str]) -> None:
        aliases, classes = read_aliases(classes), read_class_names(classes)
        twice = sorted({name for name in classes if classes.count(name) > 1})
        if twice:
            raise ValueError(f"box head field 'classes': found {twice} twice, expected every name once")
        self.fc_cls.clear(len(classes) + 1)
        self.aliases = aliases
        self.classes = tuple(classes)
        self.num_classes = len(classes)
        is_base = [name in self.base_classes for name in classes] + [True]
        self.is_base = torch.tensor(is_base, device=self.is_base.device)
