import open_clip
import torch


class HubTokenizer:
    """The tokenizer of a text tower with a vocabulary of its own (SigLIP), by open_clip and transformers.

    Nothing is read before the first call. Texts are cleaned as open_clip does and padded to the whole context.

    Args:
        fields: of the text tower: ``hf_tokenizer_name``, a name of the model hub or a folder, and ``tokenizer_kwargs``.
    """

    def __init__(self, fields: dict) -> None:
        self.name: str = fields['hf_tokenizer_name']
        self.options: dict = fields.get('tokenizer_kwargs') or {}
        self._built: open_clip.tokenizer.HFTokenizer | None = None

    def __call__(self, texts: list[str], context_length: int) -> torch.Tensor:
        """Tokens of texts.

        Args:
            texts: T texts.
            context_length: L, with whatever the tokenizer adds.

        Returns:
            (T, L) int64, padded as the tokenizer does.

        Raises:
            ValueError: a text has more than L tokens; it is named, never cut.
            OSError: the tokenizer cannot be read.
        """
        if isinstance(texts, str) or not len(texts):
            raise ValueError(f'texts: found {texts!r}, expected a list of at least one text')
        hub = self._hub()
        rows = hub.tokenizer([hub.clean_fn(text) for text in texts], padding='max_length', max_length=context_length,
                             truncation=False).input_ids
        too_long = [text for text, row in zip(texts, rows) if len(row) > context_length]
        if too_long:
            raise ValueError(f'text {too_long[0]!r}: found more than {context_length} tokens, the context of the text '
                             f'tower ({len(too_long)} such texts); shorten it: texts are never cut silently')
        return torch.tensor(rows)

    def _hub(self) -> open_clip.tokenizer.HFTokenizer:
        if self._built is None:
            try:
                self._built = open_clip.tokenizer.HFTokenizer(self.name, **self.options)
            except (ImportError, OSError, ValueError) as error:
                raise OSError(
                    f"CLIPTextEncoder: found no tokenizer {self.name!r} ({' '.join(str(error).split())}); expected "
                    'transformers to be installed (`pip install transformers sentencepiece`) and the tokenizer in its '
                    'cache, in a folder, or on a model hub that can be reached. Way out: run '
                    'tools/data/dump_text_embeddings.py on a machine that has them, and give its file as '
                    "'class_embeddings'") from error
        return self._built
