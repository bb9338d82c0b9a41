from collections.abc import Sequence

import torch
from mmengine.logging import MessageHub
from mmseg.models.segmentors import BaseSegmentor
from torch import nn

from rsc_mm.models.distillers.distiller import drop_frozen_parts, keep_frozen_parts
from rsc_mm.registry import MODELS
from rsc_mm.utils.checkpoint import CheckpointError, Weights, check_keys, read_checkpoint, unwrap
from rsc_mm.utils.refiner_checkpoint import tower_identity

from .codebook import Codebook


class CAUSEStep(BaseSegmentor):
    """What the three steps of CAUSE share: a frozen tower, which is never saved, and a codebook of its tokens.

    The tokens are the tower's dense map through its readout, after norm and head: of a DINOv2 its patch tokens after
    the final norm, as in CAUSE; of a CLIP its dense embeddings, which R-SC's paper does not say.

    A checkpoint holds the hash of its tower's weights, and is refused on another tower.

    Args:
        backbone: the tower, with its own ``init_cfg``.
        num_codes: concepts of the codebook.
        data_preprocessor: mmseg's, with a ``size`` that is a multiple of the patch.
        start: file that the step before wrote; the parts named in ``started_parts`` come from it.
        init_cfg: for MMEngine.
    """

    frozen_parts = ('backbone', )
    started_parts: tuple[str, ...] = ()

    def __init__(self, backbone: dict, num_codes: int, data_preprocessor: dict | None = None, start: str | None = None,
                 init_cfg: dict | None = None) -> None:
        super().__init__(data_preprocessor, init_cfg)
        self.backbone = MODELS.build(backbone).freeze()
        self.codebook = Codebook(num_codes, self.backbone.embed_dim)
        self.start = start
        self.register_buffer('tower_hash', torch.zeros(32, dtype=torch.uint8))
        self.register_state_dict_post_hook(drop_frozen_parts)
        self.register_load_state_dict_pre_hook(keep_frozen_parts)
        self.register_load_state_dict_pre_hook(refuse_other_tower)

    def init_weights(self) -> None:
        """Load the tower, and what the step before learned.

        Raises:
            FileNotFoundError: there is no such file.
            CheckpointError: it is not of the step before, does not fit, or belongs to another tower.
        """
        if self.is_init:
            return
        self.backbone.init_weights()
        digest = bytes.fromhex(tower_identity(self.backbone)['tower_hash'])
        self.tower_hash.copy_(torch.tensor(list(digest), dtype=torch.uint8))
        if self.start:
            self.load_start(unwrap(read_checkpoint(self.start)))
        self._is_init = True

    def load_start(self, weights: Weights) -> None:
        """Take over ``started_parts``.

        Args:
            weights: what the step before exported.
        """
        check_tower_hash(weights, self.tower_hash, f'start {self.start}')
        for name in self.started_parts:
            part = {key.removeprefix(f'{name}.'): value for key, value in weights.items()
                    if key.startswith(f'{name}.')}
            module = getattr(self, name)
            check_keys(part, module.state_dict(), f'start {self.start}', f'the part {name!r}',
                       "the fields of 'model' and the step that wrote the file")
            module.load_state_dict(part)

    def exported(self) -> Weights:
        """What the next step, or a test, needs of this one."""
        return dict(self.state_dict())

    @torch.no_grad()
    def extract_feat(self, inputs: torch.Tensor) -> torch.Tensor:
        """The tower's dense map.

        Args:
            inputs: normalised images (B, 3, H, W).

        Returns:
            (B, D, h, w) float32.
        """
        return self.backbone.encode_dense(inputs, normalize=False).float()

    def tokens(self, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, tuple[int, int]]:
        """Tokens of images, and their concepts.

        Args:
            inputs: normalised images (B, 3, H, W).

        Returns:
            Tokens (B, N, D), numbers of their nearest codes (B, N), and the grid h, w.
        """
        dense = self.extract_feat(inputs)
        tokens = dense.flatten(2).transpose(1, 2)  # (B, N, D)
        return tokens, self.codebook.nearest(tokens), tuple(dense.shape[2:])

    def encode_decode(self, inputs: torch.Tensor, batch_data_samples: Sequence | None = None) -> torch.Tensor:
        """Cosines with the concepts; the steps have no other map.

        Args:
            inputs: normalised images (B, 3, H, W).
            batch_data_samples: not used.

        Returns:
            (B, K, h, w).
        """
        return self.codebook(self.extract_feat(inputs).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)  # (B, K, h, w)

    def predict(self, inputs: torch.Tensor, data_samples: Sequence | None = None) -> list:
        """Only the last step segments.

        Args:
            inputs: not used.
            data_samples: not used.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError(f'{type(self).__name__} predicts nothing: ClusterStep, the last step, does')

    def _forward(self, inputs: torch.Tensor, data_samples: Sequence | None = None) -> torch.Tensor:
        return self.encode_decode(inputs)


def step_seed() -> int:
    """A number of the Runner's seed and iteration: draws are the same on all processes and in a resumed run."""
    hub = MessageHub.get_current_instance()
    return int(hub.get_info('seed', 0) or 0) * 1_000_003 + int(hub.get_info('iter', 0))


def refuse_other_tower(module: nn.Module, state_dict: Weights, prefix: str, *args: object) -> None:
    """Loading hook: a step's weights belong to its tower.

    Args:
        module: a step.
        state_dict: of a checkpoint.
        prefix: of the step's keys.
        args: not used.

    Raises:
        CheckpointError: see `check_tower_hash`.
    """
    if module.tower_hash.any():
        check_tower_hash({'tower_hash': state_dict[f'{prefix}tower_hash']} if f'{prefix}tower_hash' in state_dict
                         else {}, module.tower_hash, 'the checkpoint of this step')


def check_tower_hash(weights: Weights, expected: torch.Tensor, source: str) -> None:
    """Refuse what was learned on another tower.

    Args:
        weights: with ``tower_hash``.
        expected: of the tower at hand (32,) uint8.
        source: how the message names the file.

    Raises:
        CheckpointError: the hash is another, or there is none.
    """
    if 'tower_hash' not in weights:
        raise CheckpointError(f"{source}: found no 'tower_hash', expected what a step of "
                              'projects/unsupervised_segmentation/run.py wrote')
    found, own = (bytes(value.cpu().tolist()).hex()[:12] for value in (weights['tower_hash'], expected))
    if not torch.equal(weights['tower_hash'].cpu(), expected.cpu()):
        raise CheckpointError(f'{source}: belongs to another tower (weights {found}) than model.backbone (weights '
                              f'{own}); give --checkpoint of that tower, or another --work-dir')


def concept_head(head: dict, backbone: nn.Module) -> nn.Module:
    """A segment head for a tower.

    Args:
        head: config without ``channels``, which are the tower's.
        backbone: the tower.
    """
    return MODELS.build({**head, 'channels': backbone.embed_dim})
