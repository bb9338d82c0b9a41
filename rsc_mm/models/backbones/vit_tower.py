import timm
import torch
from mmengine.model import BaseModule
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from rsc_mm.utils.checkpoint import load_clip_checkpoint

from .readouts import build_readout, class_token, run_block

# Width C -> embedding D of the published CLIP towers: B, L, H and g, G (timm's names do not all carry it).
CLIP_EMBED_DIMS = {768: 512, 1024: 768, 1280: 1024, 1408: 1024, 1664: 1280}


class ViTTower(BaseModule):
    r"""A CLIP vision transformer with a dense readout; base class of `EVACLIPViT` and `CLIPViT`.

    The network ``vit`` is timm's; this class adds the readout of the last block, any rectangle as input, maps for
    detection and segmentation necks, and freezing by role. With tokens :math:`x` before the last block,

    .. math:: \text{image} = \mathrm{head}(\mathrm{LN}(\mathrm{block}(x)_{CLS})), \quad
              \text{dense} = \mathrm{head}(\mathrm{LN}(\mathrm{readout}(x)))

    Inputs are padded right and below with zeros (the mean colour) to whole patches, never squashed. The position
    embedding is resized bicubically without antialiasing, as the public EVA-CLIP code does and timm does not.

    Args:
        vit: timm network with class token and ``dynamic_img_size``.
        readout: 'value' or 'vanilla', see `READOUTS`.
        out_indices: blocks whose patch tokens `forward` returns, 0-based and ascending; default: the last.
        frozen_stages: -1 trains everything (contrastive pre-training); 0 freezes the embeddings, the final norm and
            the head, and what the readout does not use of the last block; n freezes also the first n blocks; the
            depth freezes the whole tower, which then stays in eval mode.
        with_cp: activation checkpointing of every block that trains.
        init_cfg: ``dict(type='Pretrained', checkpoint=PATH)`` loads strictly through `load_clip_checkpoint`.

    Raises:
        ValueError: a field is out of its range, or the network is not a CLIP tower.
    """

    def __init__(self, vit: nn.Module, readout: str, out_indices: tuple[int, ...] | None, frozen_stages: int,
                 with_cp: bool, init_cfg: dict | None) -> None:
        super().__init__(init_cfg)
        self.vit = vit
        self.depth = len(vit.blocks)
        self.readout_name = readout
        self.readout = build_readout(readout)
        self.out_indices = tuple(out_indices or (self.depth - 1, ))
        self.frozen_stages = frozen_stages
        self.with_cp = with_cp
        self.patch_size: int = vit.patch_embed.patch_size[0]
        self.image_size: int = vit.patch_embed.img_size[0]
        self.width: int = vit.embed_dim
        self.embed_dim: int = vit.num_classes
        self._check_fields()
        self._freeze()

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Feature maps for a neck: raw patch tokens after the blocks of ``out_indices``.

        The last block passes through the readout. Blocks after the last index are not computed.

        Args:
            x: normalised images (B, 3, H, W) in pixels, any H and W.

        Returns:
            One map (B, C, h, w) for each index, h = ceil(H / patch_size).
        """
        return self.intermediates(x, self.out_indices)

    def intermediates(self, x: torch.Tensor, indices: tuple[int, ...]) -> tuple[torch.Tensor, ...]:
        """Raw patch tokens after the given blocks, as `forward` returns them.

        Args:
            x: normalised images (B, 3, H, W).
            indices: 0-based block numbers, ascending.

        Returns:
            One map (B, C, h, w) for each index.
        """
        if not len(x):
            return tuple(m[:0] for m in self.intermediates(self._one_patch(x), indices))
        tokens, rope, grid = self._embed(x)
        maps = []
        for i in range(indices[-1] + 1):
            last = i == self.depth - 1
            tokens = self._run(self.readout if last else run_block, i, tokens, rope)
            if i in indices:
                patches = tokens if last else tokens[:, 1:]
                maps.append(patches.transpose(1, 2).unflatten(2, grid))  # (B, C, h, w)
        return tuple(maps)

    def encode_image(self, x: torch.Tensor, normalize: bool = False) -> torch.Tensor:
        """CLIP's image embedding: the projected class token.

        Args:
            x: normalised images (B, 3, H, W).
            normalize: divide by the L2 norm, in float32.

        Returns:
            (B, D).
        """
        if not len(x):
            return self.encode_image(self._one_patch(x), normalize)[:0]
        tokens, rope, _ = self._blocks(x)
        image = self._project(self._run(class_token, self.depth - 1, tokens, rope))
        return F.normalize(image.float(), dim=1) if normalize else image

    def encode_dense(self, x: torch.Tensor, normalize: bool = True) -> torch.Tensor:
        """Dense embeddings in CLIP's image-text space, through the readout (CLIPSelf, sec. 3.1).

        Args:
            x: normalised images (B, 3, H, W).
            normalize: divide each token by its L2 norm, in float32.

        Returns:
            (B, D, h, w), h = ceil(H / patch_size).
        """
        return self.project(*self.intermediates(x, (self.depth - 1, )), normalize)

    def project(self, last: torch.Tensor, normalize: bool = True) -> torch.Tensor:
        """Dense embeddings from the last block's map: `encode_dense` for those who have run the blocks already.

        Args:
            last: what `forward` and `intermediates` return for the last block (B, C, h, w).
            normalize: divide each token by its L2 norm, in float32.

        Returns:
            (B, D, h, w).
        """
        dense = self._project(last.flatten(2).transpose(1, 2))  # (B, N, D)
        dense = F.normalize(dense.float(), dim=2) if normalize else dense
        return dense.transpose(1, 2).unflatten(2, last.shape[2:])  # (B, D, h, w)

    def init_weights(self) -> None:
        """Load ``init_cfg.checkpoint``; without ``init_cfg`` the weights stay as timm initialised them."""
        if self.init_cfg and not self.is_init:
            load_clip_checkpoint(self, self.init_cfg['checkpoint'])
        self._is_init = True

    def freeze(self) -> 'ViTTower':
        """Freeze the tower as a whole: no gradient, always in eval mode; returns itself."""
        self.frozen_stages = self.depth
        return self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> 'ViTTower':
        """Training mode, except for a tower that is frozen as a whole.

        Args:
            mode: True for training.
        """
        return super().train(mode and self.frozen_stages < self.depth)

    def _blocks(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None, tuple[int, int]]:
        """Tokens (B, 1+N, C) before the last block, the rotary embedding and the grid (h, w)."""
        tokens, rope, grid = self._embed(x)
        for i in range(self.depth - 1):
            tokens = self._run(run_block, i, tokens, rope)
        return tokens, rope, grid

    def _run(self, function: callable, index: int, tokens: torch.Tensor, rope: torch.Tensor | None) -> torch.Tensor:
        block = self.vit.blocks[index]
        if self.with_cp and torch.is_grad_enabled() and index >= self.frozen_stages:
            return checkpoint(function, block, tokens, rope, use_reentrant=False)
        return function(block, tokens, rope)

    def _embed(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None, tuple[int, int]]:
        """Patches, class token and position embedding (B, 1+N, C), the rotary embedding and the grid (h, w)."""
        x = F.pad(x, (0, -x.shape[3] % self.patch_size, 0, -x.shape[2] % self.patch_size))
        x = self.vit.patch_embed(x)  # (B, h, w, C)
        grid = x.shape[1], x.shape[2]
        tokens = torch.cat([self.vit.cls_token.expand(len(x), -1, -1), x.flatten(1, 2)], dim=1)  # (B, 1+N, C)
        tokens = self.vit.norm_pre(tokens + self._position_embedding(grid))
        rope = getattr(self.vit, 'rope', None)
        return tokens, None if rope is None else rope.get_embed(shape=grid), grid

    def _position_embedding(self, grid: tuple[int, int]) -> torch.Tensor:
        """The absolute position embedding (1, 1+N, C) for that grid."""
        position, native = self.vit.pos_embed, self.vit.patch_embed.grid_size
        if grid == tuple(native):
            return position
        patches = position[:, 1:].transpose(1, 2).unflatten(2, native).float()  # (1, C, h0, w0)
        patches = F.interpolate(patches, grid, mode='bicubic', align_corners=False, antialias=False)
        return torch.cat([position[:, :1], patches.flatten(2).transpose(1, 2).type_as(position)], dim=1)

    def _one_patch(self, x: torch.Tensor) -> torch.Tensor:
        """A stand-in for no image at all: its discarded output ties a loss of 0 to the parameters, as DDP needs."""
        return x.new_zeros(1, 3, self.patch_size, self.patch_size)

    def _project(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.vit.head(self.vit.norm(tokens))

    def _freeze(self) -> None:
        if self.frozen_stages < 0:
            return
        vit = self.vit
        frozen = [vit.patch_embed, vit.norm_pre, vit.norm, vit.head, *vit.blocks[:self.frozen_stages],
                  *self.readout.unused(vit.blocks[-1])]
        parameters = [vit.cls_token, vit.pos_embed, *(p for module in frozen for p in module.parameters())]
        for parameter in parameters:
            parameter.requires_grad_(False)

    def _check_fields(self) -> None:
        vit, name = self.vit, type(self).__name__
        if not -1 <= self.frozen_stages <= self.depth:
            raise ValueError(f"{name} field 'frozen_stages': found {self.frozen_stages}, expected -1 to {self.depth} "
                             '(the depth: frozen as a whole)')
        indices = list(self.out_indices)
        if indices != sorted(set(indices)) or not 0 <= indices[0] <= indices[-1] < self.depth:
            raise ValueError(f"{name} field 'out_indices': found {self.out_indices}, expected ascending block numbers "
                             f'in 0..{self.depth - 1}')
        if self.init_cfg and (self.init_cfg.get('type') != 'Pretrained' or 'checkpoint' not in self.init_cfg):
            raise ValueError(f"{name} field 'init_cfg': found {dict(self.init_cfg)}, "
                             "expected dict(type='Pretrained', checkpoint=PATH)")
        block = vit.blocks[0]
        scaled = getattr(block, 'gamma_1', None) is not None or not isinstance(getattr(block, 'ls1', nn.Identity()),
                                                                               nn.Identity)
        if vit.num_prefix_tokens != 1 or vit.pos_embed is None or scaled or not isinstance(vit.head, nn.Linear):
            raise ValueError(f"{name} field 'arch': expected a CLIP tower: one class token, a position embedding, no "
                             'LayerScale, and a linear head (num_classes = embedding size)')


def build_vit(network: type[nn.Module], arch: str | dict, traits: dict) -> nn.Module:
    """timm's network for a name, or for its own arguments.

    Args:
        network: timm's class; a named network must be one.
        arch: timm's name ('eva02_base_patch16_clip_224') or a dict of the class's arguments.
        traits: defaults beneath a dict.

    Raises:
        ValueError: timm has no such name, or it is another kind of network.
        TypeError: an argument in the dict is not one of timm's.
    """
    if isinstance(arch, dict):
        return network(**{**traits, **arch, 'dynamic_img_size': True})
    if not timm.is_model(arch):
        raise ValueError(f"backbone field 'arch': found {arch!r}, expected a network name of timm {timm.__version__}, "
                         f'such as {timm.list_models("*clip_224")[:4]}, or a dict of its arguments')
    vit = timm.create_model(arch, dynamic_img_size=True)
    if not isinstance(vit, network) or vit.embed_dim not in CLIP_EMBED_DIMS:
        raise ValueError(f"backbone field 'arch': {arch!r} is timm's {type(vit).__name__} of width {vit.num_features}, "
                         f'expected a {network.__name__} of width {sorted(CLIP_EMBED_DIMS)}; or give a dict')
    vit.reset_classifier(CLIP_EMBED_DIMS[vit.embed_dim])
    return vit
