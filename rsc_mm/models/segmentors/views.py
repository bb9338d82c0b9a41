"""Views: which parts of an image the network sees, and how its logits become the scores of all pixels."""
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch.nn import functional as F

from rsc_mm.models.heads.windows import window_places
from rsc_mm.utils.precision import full_precision


class Views(NamedTuple):
    """The views of one image.

    ``crops``: n images (3, h, w). ``places``: rows and columns of the windows among them on the canvas. ``size``:
    height and width of the canvas in pixels. A crop beyond the places is an overview of the whole canvas.
    """

    crops: list[torch.Tensor]
    places: list[tuple[slice, slice]]
    size: tuple[int, int]

    def merge(self, logits: Sequence[torch.Tensor]) -> torch.Tensor:
        r"""Probabilities of all pixels: the mean over the windows that see a pixel, then with the overview's.

        Logits are upsampled to the crop first; :math:`p = \sigma(\mathrm{up}(z))`.

        Args:
            logits: of each crop (T, h', w').

        Returns:
            (T, *size) float32.
        """
        # One after the other: of many classes those of all crops at once are what takes the memory.
        probabilities = (probabilities_at(x, crop.shape[1:]) for x, crop in zip(logits, self.crops))
        total = torch.zeros(len(logits[0]), *self.size, device=logits[0].device)
        seen = total.new_zeros(self.size)
        for (rows, columns), window in zip(self.places, probabilities):
            total[:, rows, columns] += window
            seen[rows, columns] += 1
        total /= seen
        for overview in probabilities:
            total = total.add_(_resize(overview, self.size)).div_(2)
        return total


def whole_view(image: torch.Tensor, test_cfg: dict) -> Views:
    """The image as it is (mmseg's mode 'whole').

    Args:
        image: (3, H, W) without padding.
        test_cfg: not used.
    """
    size = tuple(image.shape[1:])
    return Views([image], [(slice(size[0]), slice(size[1]))], size)


def sliding_views(image: torch.Tensor, test_cfg: dict) -> Views:
    """Windows of ``crop_size`` every ``stride`` pixels (mmseg's mode 'slide').

    Args:
        image: (3, H, W) without padding.
        test_cfg: with ``crop_size`` and ``stride``, (height, width) each.
    """
    size = tuple(image.shape[1:])
    places = window_places(size, tuple(test_cfg['crop_size']), tuple(test_cfg['stride']))
    return Views([image[:, rows, columns] for rows, columns in places], places, size)


def squashed_views(image: torch.Tensor, test_cfg: dict) -> Views:
    """CAT-Seg's scheme: windows of the image squashed to ``size``, and the image squashed to a window as overview.

    In the paper ``size=(640, 640), crop_size=(384, 384), stride=(256, 256)``: four windows and the overview.

    Args:
        image: (3, H, W) without padding.
        test_cfg: with ``size``, ``crop_size`` and ``stride``, (height, width) each.
    """
    windows = sliding_views(_resize(image, tuple(test_cfg['size'])), test_cfg)
    return windows._replace(crops=[*windows.crops, _resize(image, tuple(test_cfg['crop_size']))])


TEST_MODES: dict[str, Callable[[torch.Tensor, dict], Views]] = {
    'whole': whole_view, 'slide': sliding_views, 'squash': squashed_views}


@full_precision
def probabilities_at(logits: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Upsampled logits as probabilities, every class for itself.

    Args:
        logits: (..., T, h, w) of three or four dimensions.
        size: height and width in pixels.

    Returns:
        (..., T, *size) float32.
    """
    return _resize(logits, size).sigmoid()


def _resize(x: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    batch = x if x.dim() == 4 else x[None]
    batch = F.interpolate(batch, tuple(size), mode='bilinear', align_corners=False)
    return batch if x.dim() == 4 else batch[0]
