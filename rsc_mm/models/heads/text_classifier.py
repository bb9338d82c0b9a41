import json

import torch
from torch import nn
from torch.nn import functional as F

from rsc_mm.registry import MODELS
from rsc_mm.utils.precision import full_precision


@MODELS.register_module()
class TextClassifier(nn.Module):
    r"""The last layer of a box head: cosine with class embeddings instead of learned weights (ViLD; F-VLM, sec. 3.2).

    .. math:: z_c = \tau\, \frac{x}{\|x\|} \cdot e_c

    The embeddings are no parameters: the vocabulary may change after training. They are saved with their names, so that
    a checkpoint needs no text tower for the classes it was trained on; a checkpoint never changes the vocabulary of the
    model that reads it, it is kept beside in ``saved``. The public F-ViT code divides by a norm that may be 0 (features
    come from a ReLU) and yields NaN; here the norm is at least 1e-6.

    Args:
        in_features: D, which mmdet's box head fills in.
        out_features: T+1, likewise.
        temperature: :math:`\tau` at the start, 50 in F-ViT; learned.
        fixed_temperature: used in the place of the learned one, for transfer to other data sets (50 in F-ViT).

    Attributes:
        saved: embeddings (D,) of the last loaded checkpoint by the words that its prompts read.
        saved_source: how they were made, as given to `set_embeddings`; None where it is unknown.
    """

    def __init__(self, in_features: int, out_features: int, temperature: float = 50.,
                 fixed_temperature: float | None = None) -> None:
        super().__init__()
        self.in_features = in_features
        self.fixed_temperature = fixed_temperature
        self.temperature = nn.Parameter(torch.tensor(float(temperature)), requires_grad=fixed_temperature is None)
        self.register_buffer('embeddings', torch.zeros(out_features, 0))
        self.register_buffer('vocabulary', torch.zeros(0, dtype=torch.uint8))
        self.saved: dict[str, torch.Tensor] = {}
        self.saved_source: list | None = None
        self.register_load_state_dict_pre_hook(_keep_own_vocabulary)

    @property
    def has_embeddings(self) -> bool:
        """Whether the classes have their embeddings."""
        return self.embeddings.shape[1] > 0

    def clear(self, out_features: int) -> None:
        """Forget the classes.

        Args:
            out_features: T+1 of those to come.
        """
        self.embeddings = self.embeddings.new_zeros(out_features, 0)
        self.vocabulary = self.vocabulary.new_zeros(0)

    def set_embeddings(self, embeddings: torch.Tensor, names: list[str] | None = None, words: list[str] | None = None,
                       source: list | None = None) -> None:
        """Change the classes.

        Args:
            embeddings: unit rows (T+1, D), the background last.
            names: T+1 labels; None: nothing is saved of their meaning.
            words: what prompts read in their place; None: the names.
            source: what else the embeddings depend on, of plain values.

        Raises:
            ValueError: another D than that of the features.
        """
        if embeddings.shape[1] != self.in_features:
            raise ValueError(f"box head field 'class_embeddings': found {embeddings.shape[1]} channels, expected "
                             f"{self.in_features}, the head's field 'fc_out_channels'; both must be CLIP's embedding "
                             'size')
        device = self.embeddings.device
        self.embeddings = embeddings.to(device, torch.float32)
        self.vocabulary = torch.zeros(0, dtype=torch.uint8, device=device)
        if names is not None:
            self.vocabulary = pack_vocabulary(names, words, source).to(device)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits of the classes.

        Args:
            x: features (K, D).

        Returns:
            (K, T+1), float32 whatever the autocast.
        """
        tau = self.temperature if self.fixed_temperature is None else self.fixed_temperature
        return tau * self.cosine(x)

    def cosine(self, x: torch.Tensor) -> torch.Tensor:
        """Cosines with the class embeddings.

        Args:
            x: features (K, D), of any length.

        Returns:
            (K, T+1), float32.
        """
        return _cosine(x, self.embeddings)


def pack_vocabulary(names: list[str], words: list[str] | None = None, source: list | None = None) -> torch.Tensor:
    """Names as a tensor of bytes, the one form that every reader and writer of checkpoints passes on.

    Args:
        names: T+1 labels, the background last.
        words: what prompts read in their place; None: the names.
        source: what else the embeddings depend on, of plain values.

    Returns:
        (bytes,) uint8: json of the three.
    """
    content = json.dumps(dict(names=list(names), words=list(words or names), source=source))
    return torch.tensor(list(content.encode()), dtype=torch.uint8)


def unpack_vocabulary(packed: torch.Tensor) -> dict[str, list | None]:
    """What `pack_vocabulary` was given: ``names``, ``words`` and ``source``; none of them for no bytes.

    Args:
        packed: (bytes,) uint8.
    """
    return json.loads(bytes(packed.tolist()).decode()) if len(packed) else dict(names=[], words=[], source=None)


def _keep_own_vocabulary(module: TextClassifier, state_dict: dict, prefix: str, *args: object) -> None:
    """A checkpoint's vocabulary goes to ``saved``; of any size, or absent as in old files, it is never refused."""
    embeddings, packed = (state_dict.pop(f'{prefix}{name}', None) for name in ('embeddings', 'vocabulary'))
    if packed is not None and len(packed) and embeddings.shape[1] == module.in_features:
        content = unpack_vocabulary(packed)
        module.saved = dict(zip(content['words'], embeddings.float().cpu()))
        module.saved_source = content['source']
    state_dict.update({f'{prefix}embeddings': module.embeddings, f'{prefix}vocabulary': module.vocabulary})


@full_precision
def _cosine(x: torch.Tensor, embeddings: torch.Tensor) -> torch.Tensor:
    return F.normalize(x, dim=1, eps=1e-6) @ embeddings.t()
