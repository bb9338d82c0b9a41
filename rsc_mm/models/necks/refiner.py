import copy
from collections.abc import Callable
from typing import Any

import torch
from mmengine.model import BaseModule
from timm.layers import trunc_normal_
from torch import nn
from torch.utils.checkpoint import checkpoint

from rsc_mm.models.backbones.blocks import run_block
from rsc_mm.models.backbones.vit_tower import ViTTower
from rsc_mm.registry import MODELS
from rsc_mm.utils.refiner_checkpoint import load_refiner_checkpoint
from rsc_mm.utils.regions import pool_regions, region_tokens

# Where the Refiner's blocks come from, and whether they replace the tower's last blocks or follow all of them.
INITS = {'last_blocks': False, 'random': False, 'exogenous': True, 'pacl': True}


@MODELS.register_module()
class Refiner(BaseModule):
    r"""Dense features of a region without the rest of the image in them (Qiu et al., ICLR 2025, sec. 3.3, app. C).

    The frozen tower is :math:`f_B \circ f_A`, with :math:`f_B` its last K blocks. The Refiner :math:`f_R` starts as a
    copy of :math:`f_B` and reads one region of the early map at a time:

    .. math:: \hat Z = f_R\big(\mathrm{RoIAlign}(f_A(X) + Z_{inter}, b),\; \hat z_{CLS}\big), \quad
              Z_{inter} = \mathrm{FC}_{inter}[Z_{l_1}, Z_{l_2}], \quad
              \hat z_{CLS} = \mathrm{FC}_{CLS}(\mathrm{RoIPool}(f_A(X), b))

    (eq. 8, 10, 11). The last blocks pass through the tower's own dense readout; rotary positions are those of the
    region grid, as if the region were an image of its own; the final norm and the head are the tower's, frozen. A tower
    without class token has no :math:`\hat z_{CLS}` either.

    ==================================== ========== ========== ========= ==========
    trained parameters, hidden_dims 4096     blocks   FC_inter    FC_CLS      total
    ==================================== ========== ========== ========= ==========
    EVA-02-CLIP B/16, K = 4, l = (4, 7)  27,194,624  9,442,048 6,296,320 42,932,992
    EVA-02-CLIP L/14, K = 6, l = (9, 14) 73,513,968 12,588,032 8,393,728 94,495,728
    ==================================== ========== ========== ========= ==========

    Chosen here where the paper is silent: the last layer of FC_inter starts at 0, so that the patch tokens start as the
    early map gives them (FC_CLS is random: the region token does not start as CLIP's class token); layers are counted
    from 1, so that l = 7 is the output of the seventh block; GELU between the layers.

    Args:
        backbone: a built tower, from which shapes are taken; `copy_weights` takes its weights.
        num_blocks: K; the paper's 4 for ViT-B, 6 for ViT-L.
        inter_layers: l_1 and l_2, counted from 1; the paper's (4, 7) and (9, 14). None leaves FC_inter out.
        hidden_dims: hidden width of FC_inter and FC_CLS.
        region_token: whether FC_CLS makes the class token; otherwise it is the pooled region itself.
        init: 'last_blocks'; or of the ablation (table 6b) 'random' (K new blocks in the place of the last K),
            'exogenous' (K new blocks on top of the whole tower) or 'pacl' (PACL's residual vision embedder on top of
            the whole tower, without FC_inter, class token and blocks).
        late: refine the whole map as one region, and RoIAlign the result (eq. 12).
        with_cp: activation checkpointing of FC_inter and the blocks.
        init_cfg: ``dict(type='Pretrained', checkpoint=PATH, command=COMMAND)``: what stage 1 saved, and the command
            that makes it, for the message if the file is missing. Loaded by the distiller.

    Raises:
        ValueError: a field is out of its range.

    Examples:
        >>> import rsc_mm
        >>> tower = rsc_mm.load('projects/shapes_clip/shapes_clip.pt', device='cpu').tower
        >>> refiner = Refiner(tower, num_blocks=2, inter_layers=(2, 3), hidden_dims=1024)
        >>> refiner.init_weights(tower)
        >>> maps = tower.intermediates(torch.zeros(1, 3, 64, 96), refiner.layers)
        >>> refiner(maps, [torch.tensor([[0., 0., 40., 40.]])], 7).shape
        torch.Size([1, 49, 128])
    """

    def __init__(self, backbone: ViTTower, num_blocks: int = 4, inter_layers: tuple[int, int] | None = (4, 7),
                 hidden_dims: int = 4096, region_token: bool = True, init: str = 'last_blocks', late: bool = False,
                 with_cp: bool = False, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        _check_fields(backbone, num_blocks, inter_layers, region_token, init)
        vit, width = backbone.vit, backbone.width
        self.patch_size = backbone.patch_size
        self.init = init
        self.late = late
        self.with_cp = with_cp
        early = backbone.depth if INITS[init] else backbone.depth - num_blocks  # blocks of f_A
        inter = () if init == 'pacl' else tuple(inter_layers or ())
        self.layers = tuple(sorted({*(layer - 1 for layer in inter), early - 1}))
        self.inter = [self.layers.index(layer - 1) for layer in inter]
        self.fc_inter = mlp(2 * width, hidden_dims, width) if inter else None
        self.fc_cls = mlp(width, hidden_dims, width) if region_token and init != 'pacl' else None
        self.embedder = VisionEmbedder(width) if init == 'pacl' else None
        self.readout = copy.deepcopy(backbone.readout)  # a copy: training it must leave the frozen tower's alone
        self.rope = copy.deepcopy(getattr(vit, 'rope', None))
        # Of a tower with attention pooling that one follows the last K blocks, see `PooledViTTower`.
        readable = backbone.readable_blocks()
        count = num_blocks + len(readable) - backbone.depth
        self.blocks = copy.deepcopy(readable[-count:]).requires_grad_(True) if init != 'pacl' else None
        self.norm = copy.deepcopy(backbone.final_norm()).requires_grad_(False)
        self.head = copy.deepcopy(backbone.dense_head()).requires_grad_(False)
        self.readout.requires_grad_(self.blocks is not None)
        for part in self._unused() if self.blocks else ():
            part.requires_grad_(False)

    def init_weights(self, backbone: ViTTower) -> None:
        """Start from the tower's weights, then load ``init_cfg.checkpoint`` if there is one.

        Args:
            backbone: the tower, after its weights were loaded.

        Raises:
            FileNotFoundError: the checkpoint is missing; the message gives the command that makes it.
            CheckpointError: it belongs to another tower.
        """
        self.copy_weights(backbone)
        if self.init_cfg:
            load_refiner_checkpoint(self, self.init_cfg['checkpoint'], backbone, self.init_cfg.get('command'))

    @torch.no_grad()
    def copy_weights(self, backbone: ViTTower) -> None:
        """Start from the tower's weights: the last K blocks, the final norm and the head; the rest anew.

        Args:
            backbone: the tower, after its weights were loaded.
        """
        self.norm.load_state_dict(backbone.final_norm().state_dict())
        self.head.load_state_dict(backbone.dense_head().state_dict())
        self.readout.load_state_dict(backbone.readout.state_dict())
        if self.init == 'last_blocks':
            self.blocks.load_state_dict(backbone.readable_blocks()[-len(self.blocks):].state_dict())
        elif self.blocks is not None:
            self.blocks.apply(reset)
        if self.fc_inter is not None:
            nn.init.zeros_(self.fc_inter[-1].weight)
            nn.init.zeros_(self.fc_inter[-1].bias)

    def forward(self, maps: tuple[torch.Tensor, ...], boxes: list[torch.Tensor],
                size: int | tuple[int, int]) -> torch.Tensor:
        """Refined tokens of every region.

        Args:
            maps: the frozen tower's maps (B, C, h, w) after the blocks `layers`.
            boxes: for each of the B images (K_i, 4) in network pixels.
            size: the region grid, one side or height and width.

        Returns:
            (sum K_i, L, D) in CLIP's image-text space, not normalised.
        """
        size = (size, size) if isinstance(size, int) else tuple(size)
        if self.late:
            return region_tokens(self._whole_maps(maps), boxes, self.patch_size, size)
        tokens = region_tokens(self._early_map(maps), boxes, self.patch_size, size)  # (K, L, C)
        return self._refine(tokens, pool_regions(maps[-1], boxes, self.patch_size), size)

    def train(self, mode: bool = True) -> 'Refiner':
        """Training mode, except for a Refiner that is frozen.

        Args:
            mode: True for training.
        """
        return super().train(mode and any(p.requires_grad for p in self.parameters()))

    def _unused(self) -> list[nn.Module | nn.Parameter]:
        """What would get no gradient: parts of the last blocks, and FC_CLS before a readout that does not read it."""
        ignored = self.fc_cls is not None and len(self.blocks) == 1 and not self.readout.reads_prefix
        parts = self.readout.unused(self.blocks[-self.readout.num_blocks:])
        return [*parts, self.fc_cls] if ignored else parts

    def _early_map(self, maps: tuple[torch.Tensor, ...]) -> torch.Tensor:
        """f_A(X) + Z_inter (B, C, h, w)."""
        if self.fc_inter is None:
            return maps[-1]
        inter = torch.cat([maps[i] for i in self.inter], dim=1).permute(0, 2, 3, 1)  # (B, h, w, 2C)
        return maps[-1] + self._run(self.fc_inter, inter).permute(0, 3, 1, 2)  # (B, C, h, w)

    def _whole_maps(self, maps: tuple[torch.Tensor, ...]) -> torch.Tensor:
        """f_R of the whole map (B, D, h, w)."""
        tokens = self._early_map(maps).flatten(2).transpose(1, 2)  # (B, N, C)
        grid = maps[-1].shape[2:]
        refined = self._refine(tokens, maps[-1].flatten(2).mean(2), tuple(grid))
        return refined.transpose(1, 2).unflatten(2, grid)  # (B, D, h, w)

    def _refine(self, tokens: torch.Tensor, region: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """f_R on tokens (K, L, C) with the pooled region (K, C): (K, L, D)."""
        if not len(tokens):  # timm's attention takes no empty batch; a stand-in row keeps the graph, as DDP needs
            return self._refine(*(torch.cat([x, x.new_zeros(1, *x.shape[1:])]) for x in (tokens, region)), size)[:0]
        if self.embedder is not None:
            return self.head(self.norm(self.embedder(tokens)))
        if self.readout.num_prefix_tokens:
            region = region if self.fc_cls is None else self.fc_cls(region)
            tokens = torch.cat([region[:, None].to(tokens), tokens], dim=1)  # (K, 1+L, C)
        rope = None if self.rope is None else self.rope.get_embed(shape=size)
        inputs = [tokens]
        for block in self.blocks[:-1]:
            inputs.append(self._run(run_block, block, inputs[-1], rope))
        count = self.readout.num_blocks
        content = self._run(self.readout, self.blocks[-count:], tuple(inputs[-count:]), rope).content
        return self.head(self.norm(content))

    def _run(self, function: Callable, *args: object) -> Any:
        if self.with_cp and torch.is_grad_enabled():
            return checkpoint(function, *args, use_reentrant=False)
        return function(*args)


class VisionEmbedder(nn.Module):
    """PACL's vision embedder (Mukhoti et al., CVPR 2023, sec. 4): a two-layer MLP beside a linear layer.

    Args:
        width: C.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.main = nn.Linear(width, width)
        self.residual = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Embed each token alone.

        Args:
            tokens: (K, L, C).

        Returns:
            (K, L, C).
        """
        return self.main(tokens) + self.residual(tokens)


def mlp(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """Two linear layers with a GELU between.

    Args:
        inputs: size of a token.
        hidden: hidden width.
        outputs: size of the result.
    """
    return nn.Sequential(nn.Linear(inputs, hidden), nn.GELU(), nn.Linear(hidden, outputs))


def reset(module: nn.Module) -> None:
    """A ViT's usual initialisation: truncated normal 0.02 for matrices, 0 for biases, 1 for norms.

    Args:
        module: one layer.
    """
    if isinstance(module, nn.Linear):
        trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.LayerNorm):
        module.reset_parameters()


def _check_fields(backbone: ViTTower, num_blocks: int, inter_layers: tuple | None, region_token: bool,
                  init: str) -> None:
    if init not in INITS:
        raise ValueError(f"Refiner field 'init': found {init!r}, expected one of {sorted(INITS)}")
    least = backbone.readout.num_blocks
    if not least <= num_blocks < backbone.depth:
        raise ValueError(f"Refiner field 'num_blocks': found {num_blocks}, expected {least} to {backbone.depth - 1} "
                         f'for a tower of {backbone.depth} blocks whose readout reads {least}')
    if backbone.num_prefix_tokens > 1:
        raise ValueError(f"Refiner field 'backbone': found {backbone.num_prefix_tokens} prefix tokens, expected at "
                         'most one, the class token: a region has no registers')
    if region_token and not backbone.num_prefix_tokens and init != 'pacl':
        raise ValueError("Refiner field 'region_token': found True for a tower without class token, expected False")
    early = backbone.depth if INITS[init] else backbone.depth - num_blocks
    if inter_layers is None:
        return
    if len(inter_layers) != 2 or not 1 <= min(inter_layers) <= max(inter_layers) <= early:
        raise ValueError(f"Refiner field 'inter_layers': found {inter_layers}, expected None or two layers in "
                         f'1..{early}, the blocks before the Refiner')
