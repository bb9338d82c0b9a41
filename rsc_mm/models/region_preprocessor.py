"""Raw images and regions of a batch to what the towers take."""
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from mmengine.logging import MessageHub
from mmengine.model import BaseDataPreprocessor
from PIL import Image
from torch.nn import functional as F

from rsc_mm.registry import MODELS
from rsc_mm.utils.regions import boxes_to_network, crop_extent, pixel_boxes, resized_shape

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)

Size = tuple[int, int]


def resize_tensor(image: torch.Tensor, size: Size) -> torch.Tensor:
    """Bicubic resize with antialiasing, within 2/255 of `resize_pil`.

    On the CPU this is torch's uint8 kernel, integer throughout. A GPU has none: see `resize_float`.

    Args:
        image: (3, H, W) uint8.
        size: height and width to reach.

    Returns:
        (3, *size) uint8 values; float on the GPU.
    """
    if image.device.type != 'cpu':
        return resize_float(image.float(), size)
    return F.interpolate(image[None], size=size, mode='bicubic', align_corners=False, antialias=True)[0]


def resize_float(image: torch.Tensor, size: Size) -> torch.Tensor:
    """The same in floats: rows, then columns, each rounded and clipped as an 8-bit image in between would be.

    Args:
        image: (3, H, W) whole numbers in 0..255.
        size: height and width to reach.

    Returns:
        (3, *size) whole numbers in 0..255.
    """
    for step in ((image.shape[1], size[1]), size):
        image = F.interpolate(image[None], size=step, mode='bicubic', align_corners=False, antialias=True)[0]
        image = image.round_().clamp_(0, 255)
    return image


def resize_pil(image: torch.Tensor, size: Size) -> torch.Tensor:
    """PIL's own bicubic resize, for bit-exact parity with the public CLIPSelf code; on the CPU only.

    The passes are asked for one by one, first rows, then columns, as Pillow always did when that code was written.
    Pillow 13 swaps them where the height shrinks more than twice as many pixels as the width, which moves single
    pixels of high contrast (by up to 12/255 in crops of COCO images).

    Args:
        image: (3, H, W) uint8.
        size: height and width to reach.

    Returns:
        (3, *size) uint8 on the CPU.
    """
    picture = Image.fromarray(image.permute(1, 2, 0).contiguous().cpu().numpy())
    for height, width in ((image.shape[1], size[1]), size):
        picture = picture.resize((width, height), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)  # (3, *size)


def square_canvas(sizes: list[Size], image_size: int, patch_size: int) -> Size:
    """Every batch is image_size x image_size, as in the public CLIPSelf code."""
    return image_size, image_size


def rectangle_canvas(sizes: list[Size], image_size: int, patch_size: int) -> Size:
    """The smallest whole number of patches that holds all images of the batch."""
    if not sizes:
        return image_size, image_size
    return tuple(-(-max(side) // patch_size) * patch_size for side in zip(*sizes))


def padding_share(sizes: list[Size], grid: Size, patch_size: int) -> float:
    """The share of a batch's tokens that see padding only.

    Args:
        sizes: height and width of every image in network pixels.
        grid: height and width of the batch in tokens.
        patch_size: in pixels.
    """
    seen = sum(-(-height // patch_size) * -(-width // patch_size) for height, width in sizes)
    return 1 - seen / (len(sizes) * grid[0] * grid[1])


def touched_cells(masks: torch.Tensor, size: Size) -> torch.Tensor:
    """The cells that a mask touches near their centre: bicubic without antialiasing, then > 0 (CLIPSelf's code).

    Args:
        masks: (K, H, W) in {0, 1}, K at least 1.
        size: height and width of the grid.

    Returns:
        (K, *size) bool.
    """
    return F.interpolate(masks[None], size=size, mode='bicubic', align_corners=False, antialias=False)[0] > 0


def covered_cells(masks: torch.Tensor, size: Size, share: float) -> torch.Tensor:
    """The cells of which a mask covers more than a share; a mask thinner than that everywhere has none.

    Args:
        masks: (K, H, W) in {0, 1}, K at least 1.
        size: height and width of the grid.
        share: of the cell's area, 0 to below 1.

    Returns:
        (K, *size) bool.
    """
    return F.interpolate(masks[None], size=size, mode='area')[0] > share


RESIZERS: dict[str, Callable] = {'tensor': resize_tensor, 'pil': resize_pil}
CANVASES: dict[str, Callable] = {'square': square_canvas, 'rectangle': rectangle_canvas}


@MODELS.register_module()
class RegionPreprocessor(BaseDataPreprocessor):
    """Resizes, crops, pads and normalises a batch of `RegionDataset` items on the model's device.

    Image: longest side to ``image_size``, padded right and below. Crop: cut from the original image, longest side to
    ``crop_size``, padded around its centre. Padding is black before normalisation (CLIPSelf's public code).

    Args:
        image_size: longest side S of the images in pixels, a multiple of the patch.
        crop_size: side s of the crops in pixels; None cuts no crops.
        patch_size: of the student, in pixels.
        layout: 'square' pads to S x S; 'rectangle' pads to whole patches and to the largest image of the batch only.
        backend: 'tensor' (fast, within 2/255 of PIL) or 'pil' (exact parity, on the CPU).
        multiscale: sizes of which training draws one per iteration, the same on all processes; the normalised batch
            is resized bilinearly so that S becomes this size. The draw depends on the Runner's seed and iteration
            only, so that a resumed run repeats it.
        mean, std: per channel, in units of 1.
        mask_coverage: a mask takes the cells of which it covers more than this share of the area; None: as in
            CLIPSelf's code those that it touches near their centre.

    In training the share of tokens that see padding only is logged as ``padding``.

    Attributes:
        read_targets: set by a distiller with `CachedTargets`: gives the samples what is known of their regions.

    Raises:
        ValueError: a field is out of its range.
    """

    def __init__(self, image_size: int, crop_size: int | None, patch_size: int, layout: str = 'square',
                 backend: str = 'tensor', multiscale: tuple[int, ...] | None = None,
                 mean: tuple[float, ...] = CLIP_MEAN, std: tuple[float, ...] = CLIP_STD,
                 mask_coverage: float | None = None) -> None:
        super().__init__()
        _check_choice('layout', layout, CANVASES)
        _check_choice('backend', backend, RESIZERS)
        for field, size in [('image_size', image_size)] + [('multiscale', size) for size in multiscale or ()]:
            _check_size(field, size, patch_size)
        if crop_size is not None:
            _check_size('crop_size', crop_size, 1)
        if mask_coverage is not None and not 0 <= mask_coverage < 1:
            raise ValueError(f'RegionPreprocessor.mask_coverage: found {mask_coverage}, expected None or a share, 0 to '
                             'below 1')
        self.image_size = image_size
        self.crop_size = crop_size
        self.patch_size = patch_size
        self.multiscale = tuple(multiscale or ())
        self.backend = backend
        self.read_targets: Callable[[list, Size], None] | None = None
        self._canvas = CANVASES[layout]
        self._resize = RESIZERS[backend]
        self._mask_cells = touched_cells if mask_coverage is None else partial(covered_cells, share=mask_coverage)
        # x / 255 normalised as x * scale + shift: two passes over the batch, in place.
        std = torch.tensor(std).view(3, 1, 1)  # (3, 1, 1)
        self.register_buffer('scale', 1 / (255 * std), persistent=False)
        self.register_buffer('shift', -torch.tensor(mean).view(3, 1, 1) / std, persistent=False)  # (3, 1, 1)

    def forward(self, data: dict[str, list], training: bool = False) -> dict[str, Any]:
        """Prepares one batch; a batch without images or without regions gives tensors of length 0.

        Args:
            data: ``inputs``: B images (3, H_i, W_i) uint8; ``data_samples``: B `RegionSample` with K_i regions.
            training: draws a size of ``multiscale``.

        Returns:
            ``images`` (B, 3, H, W); ``crops`` (sum K_i, 3, s, s) or None, of the regions whose embedding is not cached;
            ``boxes``: B tensors (K_i, 4) in network
            pixels; ``masks``: B bool tensors (K_i, h, w) on the patch grid or None; ``data_samples`` as given.
        """
        samples = data['data_samples']
        inputs = [image.to(self.device, non_blocking=True) for image in data['inputs']]
        longest = self._draw_size() if training and self.multiscale else self.image_size
        images, boxes = self._images(inputs, samples, longest)
        if training and self.read_targets is not None:
            self.read_targets(samples, tuple(images.shape[2:]))
        has_masks = bool(samples) and 'masks' in samples[0]
        grid = (images.shape[2] // self.patch_size, images.shape[3] // self.patch_size)
        if training and samples:
            share = padding_share([sample.img_shape for sample in samples], grid, self.patch_size)
            MessageHub.get_current_instance().update_scalar('train/padding', share)
        return {
            'images': images,
            'crops': None if self.crop_size is None else self._crops(inputs, samples),
            'boxes': boxes,
            'masks': [self._grid_masks(s.masks, longest, grid) for s in samples] if has_masks else None,
            'data_samples': samples,
        }

    def _images(self, inputs: list[torch.Tensor], samples: list, longest: int) -> tuple[torch.Tensor, list]:
        """Normalised images (B, 3, H, W) and boxes, B x (K_i, 4), in their pixels."""
        resized = [self._resize(x, resized_shape(x.shape[1:], self.image_size)) for x in inputs]
        sizes = [tuple(x.shape[1:]) for x in resized]
        canvas = torch.zeros(len(resized), 3, *self._canvas(sizes, self.image_size, self.patch_size),
                             device=self.device)
        for place, image, (height, width) in zip(canvas, resized, sizes):
            place[:, :height, :width] = image
        boxes = [boxes_to_network(s.boxes.to(self.device), x.shape[1:], size)
                 for s, x, size in zip(samples, inputs, sizes)]
        images = self._normalise(canvas)
        for sample, shape in zip(samples, sizes):
            sample.set_metainfo(dict(img_shape=shape))
        if longest == self.image_size:
            return images, boxes
        size = tuple(max(1, round(side * longest / self.image_size / self.patch_size)) * self.patch_size
                     for side in images.shape[2:])
        for sample, shape in zip(samples, sizes):
            scaled = [max(1, round(s * new / old)) for s, new, old in zip(shape, size, images.shape[2:])]
            sample.set_metainfo(dict(img_shape=tuple(scaled)))
        boxes = [boxes_to_network(b, images.shape[2:], size) for b in boxes]
        return F.interpolate(images, size=size, mode='bilinear', align_corners=False), boxes

    def _crops(self, inputs: list[torch.Tensor], samples: list) -> torch.Tensor:
        """Normalised crops (sum K_i, 3, s, s)."""
        s, wanted = self.crop_size, [_unknown(sample) for sample in samples]
        crops = torch.zeros(sum(map(len, wanted)), 3, s, s, device=self.device)
        places = iter(crops)
        for image, boxes in zip(inputs, wanted):
            for x1, y1, x2, y2 in pixel_boxes(boxes, image.shape[1:]):
                left, top, right, bottom = crop_extent((y2 - y1, x2 - x1), s)
                crop = self._resize(image[:, y1:y2, x1:x2], (bottom - top, right - left))
                next(places)[:, top:bottom, left:right] = crop
        return self._normalise(crops)

    def _grid_masks(self, masks: torch.Tensor, longest: int, grid: Size) -> torch.Tensor:
        """Masks (K, H, W) on the patch grid (K, h, w), bool."""
        size = resized_shape(masks.shape[1:], longest // self.patch_size)
        resized = masks.new_zeros(len(masks), *grid, dtype=torch.bool, device=self.device)
        if len(masks):
            resized[:, :size[0], :size[1]] = self._mask_cells(masks.to(self.device).float(), size)
        return resized

    def _normalise(self, pixels: torch.Tensor) -> torch.Tensor:
        return pixels.mul_(self.scale).add_(self.shift)

    def _draw_size(self) -> int:
        """One of ``multiscale``, by the Runner's seed and iteration."""
        hub = MessageHub.get_current_instance()
        key = [int(hub.get_info('seed', 0) or 0), int(hub.get_info('iter', 0))]
        return self.multiscale[np.random.default_rng(key).integers(len(self.multiscale))]


def _unknown(sample: Any) -> torch.Tensor:
    """The crop boxes (K, 4) whose embeddings are not cached."""
    return sample.crop_boxes[torch.from_numpy(~sample.cached_crops.known)] if 'cached_crops' in sample \
        else sample.crop_boxes


def _check_size(field: str, size: int, step: int) -> None:
    if not isinstance(size, int) or size <= 0 or size % step:
        raise ValueError(f'RegionPreprocessor.{field}: found {size!r}, expected ' + (
            'a number of pixels' if step == 1 else f'a multiple of the patch size {step}'))


def _check_choice(field: str, value: str, choices: dict[str, Callable]) -> None:
    if value not in choices:
        raise ValueError(f'RegionPreprocessor.{field}: found {value!r}, expected one of {sorted(choices)}')
