"""Images, regions and preprocessing of a configuration's evaluation."""
from collections.abc import Iterable, Iterator

import torch
from mmengine.config import Config
from mmengine.device import get_device
from tqdm import tqdm

from rsc_mm.datasets import RegionDataset, RegionSample, region_collate
from rsc_mm.datasets.image_io import read_image
from rsc_mm.registry import DATASETS, MODELS
from rsc_mm.utils.regions import resized_shape


def build_preprocessor(config: Config, **changes: object) -> torch.nn.Module:
    """The configuration's preprocessor without crops.

    Args:
        config: configuration.
        changes: fields to replace, such as ``layout`` or ``crop_size``.

    Raises:
        ValueError: it is not that of a tower, but of a detector or segmentor.
    """
    found = (config.model.get('data_preprocessor') or {}).get('type')
    if str(found).rpartition('.')[2] != 'RegionPreprocessor':
        raise ValueError(f"{config.filename}, field 'model.data_preprocessor.type': found {found!r}, expected "
                         "'RegionPreprocessor': give a configuration of a tower, a Refiner or a distillation, such as "
                         'configs/evaluation/region_classification_vitb16.py')
    fields = {**config.model.data_preprocessor, 'crop_size': None, 'multiscale': None, **changes}
    return MODELS.build(fields).to(get_device())


def evaluation_dataset(config: Config, **regions: object) -> RegionDataset:
    """The dataset that the configuration evaluates on.

    Args:
        config: configuration.
        regions: fields of the region source to replace.

    Raises:
        ValueError: the configuration has none.
    """
    loader = config.get('test_dataloader') or config.get('val_dataloader')
    if not loader:
        raise ValueError(f'{config.filename}: found neither test_dataloader nor val_dataloader, expected a '
                         'configuration with a dataset to evaluate on')
    dataset = dict(loader.dataset)
    return DATASETS.build({**dataset, 'regions': {**dataset['regions'], **regions}})


def square_images(paths: Iterable[str], preprocessor: torch.nn.Module) -> torch.Tensor:
    """Images whose centre square is resized to ``image_size``, normalised: (B, 3, S, S).

    Args:
        paths: B image files.
        preprocessor: see `build_preprocessor`.
    """
    inputs = [centre_square(read_image(path)) for path in paths]
    return preprocessor(dict(inputs=inputs, data_samples=[no_regions() for _ in inputs]))['images']


def centre_square(image: torch.Tensor) -> torch.Tensor:
    """The largest square in the middle of the last two axes.

    Args:
        image: (..., H, W).
    """
    height, width = image.shape[-2:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return image[..., top:top + side, left:left + side]


def whole_image(path: str, preprocessor: torch.nn.Module) -> tuple[torch.Tensor, torch.Tensor, tuple[int, int]]:
    """One image as decoded (3, H, W), as the network sees it (1, 3, H', W'), and its resized size in the latter.

    Args:
        path: image file.
        preprocessor: see `build_preprocessor`.
    """
    image = read_image(path)
    batch = preprocessor(dict(inputs=[image], data_samples=[no_regions()]))
    return image, batch['images'], resized_shape(image.shape[1:], preprocessor.image_size)


def no_regions() -> RegionSample:
    """A sample without regions, for images whose annotation is not needed."""
    return RegionSample(boxes=torch.zeros(0, 4), crop_boxes=torch.zeros(0, 4))


def batches(dataset: RegionDataset, indices: Iterable[int], size: int) -> Iterator[dict[str, list]]:
    """The dataset's items in lists of ``size``, as `region_collate` gives them, with a progress bar on a terminal.

    Args:
        dataset: images with regions.
        indices: which, in this order.
        size: images at a time.
    """
    indices = list(indices)
    for first in tqdm(range(0, len(indices), size), disable=None):
        yield region_collate([dataset[int(i)] for i in indices[first:first + size]])
