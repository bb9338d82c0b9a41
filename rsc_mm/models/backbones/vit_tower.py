from collections.abc import Callable
from functools import partial

import torch
from mmengine.model import BaseModule
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from rsc_mm.utils.checkpoint import load_clip_checkpoint

from .blocks import class_token, run_block, split_qkv
from .position import resize_bicubic
from .readouts import DenseTokens, build_readout, readout_config
from .windows import run_in_windows, window_tokens


class ViTTower(BaseModule):
    r"""A vision transformer of timm with a dense readout; base class of all towers.

    The network ``vit`` is timm's ``VisionTransformer`` or ``Eva`` of pre-norm blocks: with or without class token,
    registers, LayerScale, q/k norm, absolute or rotary positions. This class adds the readout of the last blocks, any
    rectangle as input, maps for detection and segmentation necks, and freezing by role. With the tokens :math:`x`
    before the blocks that the readout reads,

    .. math:: \text{dense} = \mathrm{head}(\mathrm{LN}(\mathrm{readout}(x)))

    Inputs are padded right and below with zeros (the mean colour) to whole patches, never squashed.

    A tower of another family is a subclass whose constructor builds timm's network (see `build_vit`) and that overrides
    what its family does otherwise:

    * `pool`: the image embedding, here timm's own pooling and head;
    * `dense_head`: the module that turns tokens after the final norm into embeddings, here timm's head. It must do to
      one token what `pool` does to an image of one patch, so that both live in one space. The `Refiner` copies it;
    * `resize_position`: the position embedding for another grid, here bicubic without antialiasing.

    A readout never needs to know the family: it reads timm's blocks (`blocks`) and leaves norm and head to the tower.

    Args:
        vit: timm's network, built with ``dynamic_img_size``; `build_vit` does.
        readout: name of the dense readout or ``dict(type=name, field=value)``, see `readouts`.
        out_indices: blocks whose patch tokens `forward` returns, 0-based and ascending; default: the last.
        frozen_stages: -1 trains everything (contrastive pre-training); 0 freezes all but the blocks and the readout's
            own parameters, and of the blocks what the readout does not use; n freezes also the first n blocks; the
            depth freezes the whole tower, which then stays in eval mode.
        with_cp: activation checkpointing of every block that trains.
        init_cfg: ``dict(type='Pretrained', checkpoint=PATH)`` loads strictly through `load_clip_checkpoint`; with
            ``readout=OTHER`` weights that were saved with that readout are taken as a start.
        compile: ``torch.compile`` for every block but the last, of which readouts run parts; a dict holds arguments of
            ``torch.compile``, such as ``dict(mode='max-autotune')``.
        windows: windows along a side of the image within which the attention of dense maps stays (CLIPSelf, table 7:
            4); the class token is replicated into every window, and averaged after each block. 1: global attention.
            Image embeddings always come from global attention, as the pre-training had it.

    Attributes:
        depth: number of blocks.
        width: C, channels of a token.
        embed_dim: D, channels of an embedding.
        patch_size: in pixels.
        image_size: native side in pixels.
        num_prefix_tokens: P, class token and registers.
        public_keys: whose key names a published file of the family has: 'open_clip', 'OpenAI' or 'EVA-CLIP'.
        readout_config: the canonical form of ``readout``, which is saved with every checkpoint.

    Raises:
        ValueError: a field is out of its range, or the network's blocks are of another kind.
        RuntimeError: in the forward pass, if the weights of ``init_cfg`` were never loaded.
    """

    public_keys = 'open_clip'

    def __init__(self, vit: nn.Module, readout: str | dict, out_indices: tuple[int, ...] | None, frozen_stages: int,
                 with_cp: bool, init_cfg: dict | None, compile: bool | dict = False, windows: int = 1) -> None:
        super().__init__(init_cfg)
        self.vit = vit
        self.compile_options = {} if compile is True else compile
        self.depth = len(vit.blocks)
        self._check_network()
        split_qkv(vit.blocks[-1].attn)
        self.readout = build_readout(readout, vit)
        self.readout_config = readout_config(self.readout)
        self.out_indices = tuple(out_indices or (self.depth - 1, ))
        self.frozen_stages = frozen_stages
        self.with_cp = with_cp
        self.windows = windows
        self.patch_size: int = vit.patch_embed.patch_size[0]
        self.image_size: int = vit.patch_embed.img_size[0]
        self.num_prefix_tokens: int = vit.num_prefix_tokens
        self.width: int = vit.embed_dim
        self.embed_dim: int = vit.num_classes or vit.embed_dim
        self._check_fields()
        self._freeze()
        self._compile_blocks()
        self._loaded = not init_cfg
        vit.register_load_state_dict_post_hook(self._mark_loaded)

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
        if not x.shape[0]:
            return tuple(m[:0] for m in self.intermediates(self._one_patch(x), indices))
        plain = [i for i in indices if i < self.depth - 1]
        read = indices[-1] == self.depth - 1
        stops = {i + 1 for i in plain} | (self._readout_blocks() if read else set())
        tokens, rope, grid = self._tokens(x, stops, self.windows)
        maps = [self._map(tokens[i + 1][:, self.num_prefix_tokens:], grid) for i in plain]
        if read:
            maps.append(self._map(self._read(tokens, rope).content, grid))
        return tuple(maps)

    def encode_image(self, x: torch.Tensor, normalize: bool = False) -> torch.Tensor:
        """The embedding of whole images, which the pre-training gave its meaning.

        Args:
            x: normalised images (B, 3, H, W).
            normalize: divide by the L2 norm, in float32.

        Returns:
            (B, D).
        """
        if not x.shape[0]:
            return self.encode_image(self._one_patch(x), normalize)[:0]
        tokens, rope, _ = self._tokens(x, {self.depth - 1})
        image = self.pool(tokens[self.depth - 1], rope)
        return F.normalize(image.float(), dim=1) if normalize else image

    def encode_dense(self, x: torch.Tensor, normalize: bool = True) -> torch.Tensor:
        """Dense embeddings in the image-text space, through the readout (CLIPSelf, sec. 3.1).

        Args:
            x: normalised images (B, 3, H, W).
            normalize: divide each token by its L2 norm, in float32.

        Returns:
            (B, D, h, w), h = ceil(H / patch_size).
        """
        return self.project(*self.intermediates(x, (self.depth - 1, )), normalize)

    def encode_content_and_context(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Dense embeddings, and the map whose cosines say which patches belong together (DeCLIP, sec. 3.2).

        Args:
            x: normalised images (B, 3, H, W).

        Returns:
            Content (B, D, h, w), not normalised, and context (B, E, h, w): the readout's own, or for a readout without
            one the content again.
        """
        if not x.shape[0]:
            return tuple(m[:0] for m in self.encode_content_and_context(self._one_patch(x)))
        tokens, rope, grid = self._tokens(x, self._readout_blocks(), self.windows)
        read = self._read(tokens, rope)
        content = self.project(self._map(read.content, grid), normalize=False)
        return content, content if read.context is None else self._map(read.context, grid)

    def project(self, last: torch.Tensor, normalize: bool = True) -> torch.Tensor:
        """Dense embeddings from the last block's map: `encode_dense` for those who have run the blocks already.

        Args:
            last: what `forward` and `intermediates` return for the last block (B, C, h, w).
            normalize: divide each token by its L2 norm, in float32.

        Returns:
            (B, D, h, w).
        """
        dense = self.project_tokens(last.flatten(2).transpose(1, 2))  # (B, N, D)
        dense = F.normalize(dense.float(), dim=2) if normalize else dense
        return dense.transpose(1, 2).unflatten(2, last.shape[2:])  # (B, D, h, w)

    def project_tokens(self, tokens: torch.Tensor) -> torch.Tensor:
        """Tokens after the last block to embeddings: the final norm and `dense_head`.

        Args:
            tokens: (..., C).

        Returns:
            (..., D).
        """
        return self.dense_head()(self.final_norm()(tokens))

    def readable_blocks(self) -> nn.ModuleList:
        """The blocks among whose last a readout chooses."""
        return self.vit.blocks

    def final_norm(self) -> nn.Module:
        """The norm between readout and `dense_head`."""
        return self.vit.norm

    def dense_head(self) -> nn.Module:
        """The module that turns tokens after the final norm (..., C) into embeddings (..., D)."""
        head, norm = self.vit.head, self.vit.fc_norm
        return head if isinstance(norm, nn.Identity) else nn.Sequential(norm, head)

    def pool(self, tokens: torch.Tensor, rope: torch.Tensor | None) -> torch.Tensor:
        """The image embedding from the tokens before the last block, as timm's own pooling and head give it.

        Args:
            tokens: (B, P+N, C).
            rope: rotary embedding of the patch tokens, or None.

        Returns:
            (B, D).
        """
        last = self.depth - 1
        if self.vit.global_pool == 'token':  # of the last block's rows only the first is needed
            tokens = self._run(class_token, last, tokens, rope)[:, None]  # (B, 1, C)
        else:
            tokens = self._run(run_block, last, tokens, rope)  # (B, P+N, C)
        return self.vit.forward_head(self.vit.norm(tokens))

    def resize_position(self, position: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
        """The patches' position embedding on another grid: bicubic without antialiasing.

        So does the public EVA-CLIP code; timm resizes with antialiasing.

        Args:
            position: on the native grid (1, C, h0, w0), float32.
            grid: the new height and width.

        Returns:
            (1, C, h, w).
        """
        return resize_bicubic(position, grid)

    def trained_parts(self) -> list[nn.Module]:
        """What trains unless the readout leaves it unused: the blocks after the first ``frozen_stages``."""
        return [self.vit.blocks[self.frozen_stages:]]

    def unused_parts(self) -> list[nn.Module | nn.Parameter]:
        """What gets no gradient from the dense map."""
        return self.readout.unused(self.readable_blocks()[-self.readout.num_blocks:])

    def init_weights(self) -> None:
        """Load ``init_cfg.checkpoint``; without ``init_cfg`` the weights stay as timm initialised them."""
        if self.init_cfg and not self.is_init:
            load_clip_checkpoint(self, self.init_cfg['checkpoint'], self.init_cfg.get('readout'))
        self._is_init = True

    def freeze(self) -> 'ViTTower':
        """Freeze the tower as a whole: no gradient, always in eval mode; returns itself."""
        self.frozen_stages = self.depth
        self._compile_blocks()  # a copy of a tower does not copy what was compiled
        return self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> 'ViTTower':
        """Training mode, except for a tower that is frozen as a whole.

        Args:
            mode: True for training.
        """
        return super().train(mode and self.frozen_stages < self.depth)

    def _compile_blocks(self) -> None:
        if self.compile_options is not False:
            for block in self.vit.blocks[:-1]:
                block.compile(**self.compile_options)

    def _mark_loaded(self, *args: object) -> None:
        self._loaded = True

    def _readout_blocks(self) -> set[int]:
        count = len(self.readable_blocks())
        return set(range(count - self.readout.num_blocks, count))

    def _tokens(self, x: torch.Tensor, stops: set[int], windows: int = 1) -> tuple[
            dict[int, torch.Tensor], torch.Tensor | None, tuple[int, int]]:
        """Tokens (B, P+N, C) before the blocks ``stops``, the rotary embedding and the grid (h, w)."""
        tokens, rope, grid = self._embed(x)
        kept, run = {}, run_block
        if windows > 1:
            run = partial(run_in_windows, groups=window_tokens(grid, windows, tokens.device),
                          num_prefix_tokens=self.num_prefix_tokens)
        for i in range(max(stops) + 1):
            tokens = self._run(run, i - 1, tokens, rope) if i else tokens
            if i in stops:
                kept[i] = tokens
        return kept, rope, grid

    def _read(self, tokens: dict[int, torch.Tensor], rope: torch.Tensor | None) -> DenseTokens:
        """The readout of the tokens before the blocks that it reads."""
        blocks = self.readable_blocks()[-self.readout.num_blocks:]
        inputs = tuple(tokens[i] for i in sorted(self._readout_blocks()))
        if self.with_cp and torch.is_grad_enabled() and self.frozen_stages < self.depth:
            return checkpoint(self.readout, blocks, inputs, rope, use_reentrant=False)
        return self.readout(blocks, inputs, rope)

    def _run(self, function: Callable, index: int, tokens: torch.Tensor, rope: torch.Tensor | None) -> torch.Tensor:
        block = self.vit.blocks[index]
        if self.with_cp and torch.is_grad_enabled() and index >= self.frozen_stages:
            return checkpoint(function, block, tokens, rope, use_reentrant=False)
        return function(block, tokens, rope)

    def _map(self, tokens: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
        return tokens.transpose(1, 2).unflatten(2, grid)  # (B, C, h, w)

    def _embed(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None, tuple[int, int]]:
        """Prefix and patch tokens with their positions (B, P+N, C), the rotary embedding and the grid (h, w)."""
        vit = self.vit
        if not self._loaded:
            raise RuntimeError(f"{type(self).__name__} field 'init_cfg': {self.init_cfg['checkpoint']} was not loaded, "
                               'the weights are random; call init_weights() after building, or load_state_dict')
        x = F.pad(x, (0, -x.shape[3] % self.patch_size, 0, -x.shape[2] % self.patch_size))
        x = vit.patch_embed(x)  # (B, h, w, C)
        grid = x.shape[1], x.shape[2]
        prefix = [token.expand(x.shape[0], -1, -1) for token in (vit.cls_token, vit.reg_token) if token is not None]
        position, patches = self._position_embedding(grid), x.flatten(1, 2)  # (B, N, C)
        if position is None or position.shape[1] == patches.shape[1]:
            tokens = torch.cat([*prefix, patches if position is None else patches + position], dim=1)  # (B, P+N, C)
        else:
            tokens = torch.cat([*prefix, patches], dim=1) + position  # (B, P+N, C)
        rope = getattr(vit, 'rope', None)
        return vit.norm_pre(tokens), None if rope is None else rope.get_embed(shape=grid), grid

    def _position_embedding(self, grid: tuple[int, int]) -> torch.Tensor | None:
        """The absolute position embedding for that grid, of the patches (1, N, C) or of all tokens (1, P+N, C)."""
        position, native = self.vit.pos_embed, tuple(self.vit.patch_embed.grid_size)
        symbolic = not all(isinstance(side, int) for side in grid)  # in torch.export, where resizing to native is exact
        if position is None or (not symbolic and grid == native):
            return position
        prefix = position.shape[1] - native[0] * native[1]
        patches = position[:, prefix:].transpose(1, 2).unflatten(2, native).float()  # (1, C, h0, w0)
        patches = self.resize_position(patches, grid).flatten(2).transpose(1, 2)  # (1, N, C)
        return torch.cat([position[:, :prefix], patches.type_as(position)], dim=1)

    def _one_patch(self, x: torch.Tensor) -> torch.Tensor:
        """A stand-in for no image at all: its discarded output ties a loss of 0 to the parameters, as DDP needs."""
        return x.new_zeros(1, 3, self.patch_size, self.patch_size)

    def _freeze(self) -> None:
        if self.frozen_stages < 0:
            return
        self.vit.requires_grad_(False)
        if self.frozen_stages == self.depth:
            self.readout.requires_grad_(False)
            return
        for part in self.trained_parts():
            part.requires_grad_(True)
        for part in self.unused_parts():
            part.requires_grad_(False)

    def _check_network(self) -> None:
        block = self.vit.blocks[0]
        parts = [part for part in ('norm1', 'attn', 'norm2', 'mlp') if not hasattr(block, part)]
        if parts or 'PostNorm' in type(block).__name__ or getattr(self.vit, 'rope_mixed', False):
            raise ValueError(f"{type(self).__name__} field 'arch': found blocks of type {type(block).__name__}, "
                             'expected pre-norm blocks (norm1, attn, norm2, mlp) with one rotary embedding for all')

    def _check_fields(self) -> None:
        name = type(self).__name__
        if not -1 <= self.frozen_stages <= self.depth:
            raise ValueError(f"{name} field 'frozen_stages': found {self.frozen_stages}, expected -1 to {self.depth} "
                             '(the depth: frozen as a whole)')
        if self.windows < 1:
            raise ValueError(f"{name} field 'windows': found {self.windows}, expected at least 1 (global attention)")
        indices = list(self.out_indices)
        if indices != sorted(set(indices)) or not 0 <= indices[0] <= indices[-1] < self.depth:
            raise ValueError(f"{name} field 'out_indices': found {self.out_indices}, expected ascending block numbers "
                             f'in 0..{self.depth - 1}')
        if self.init_cfg and (self.init_cfg.get('type') != 'Pretrained' or 'checkpoint' not in self.init_cfg):
            raise ValueError(f"{name} field 'init_cfg': found {dict(self.init_cfg)}, "
                             "expected dict(type='Pretrained', checkpoint=PATH)")
