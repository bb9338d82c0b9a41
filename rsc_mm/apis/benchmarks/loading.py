"""Images/s of this package's loader beside a PIL pipeline that does the same work."""
import statistics
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from PIL import Image
from torchvision.transforms import functional as tv
from tqdm import trange

from rsc_mm.datasets import RegionDataset, region_collate
from rsc_mm.datasets.annotations import list_images
from rsc_mm.models.region_preprocessor import CLIP_MEAN, CLIP_STD, RegionPreprocessor


def pil_tensor(image: Image.Image, size: int, centred: bool) -> torch.Tensor:
    """Longest side to ``size``, black padding, normalised, all through PIL and torchvision.

    Args:
        image: RGB image.
        size: side of the square in pixels.
        centred: pads around the centre instead of right and below.

    Returns:
        (3, size, size).
    """
    scale = size / max(image.size)
    width, height = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    left, top = ((size - width) // 2, (size - height) // 2) if centred else (0, 0)
    image = image.resize((width, height), Image.Resampling.BICUBIC)
    image = tv.pad(image, [left, top, size - width - left, size - height - top])
    return tv.normalize(tv.to_tensor(image), CLIP_MEAN, CLIP_STD)


def pil_item(path: str, crop_boxes: torch.Tensor, image_size: int, crop_size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """One image (3, S, S) and its crops (K, 3, s, s) by PIL.

    Args:
        path: image file.
        crop_boxes: (K, 4) in original pixels.
        image_size: S.
        crop_size: s.
    """
    image = Image.open(path).convert('RGB')
    crops = [pil_tensor(image.crop(box), crop_size, True) for box in crop_boxes.tolist()]
    return pil_tensor(image, image_size, False), torch.stack(crops)


def seconds(function: Callable[[int], object], n: int) -> float:
    """Wall time of one pass over n items."""
    start = time.perf_counter()
    for i in range(n):
        function(i)
    return time.perf_counter() - start


def benchmark_loader(folder: str, image_size: int = 1024, crop_size: int = 224, repeats: int = 5) -> dict[str, float]:
    """Images/s of both pipelines on one core and their ratio.

    Args:
        folder: images.
        image_size: longest side of the images in pixels.
        crop_size: side of the crops in pixels.
        repeats: passes over the folder; the median counts.

    Returns:
        ``images``, ``crops_per_image``, ``tensor_images_per_s``, ``pil_images_per_s``, ``ratio``.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    dataset = RegionDataset({'type': 'GridRegions'}, img_prefix=folder)
    preprocessor = RegionPreprocessor(image_size, crop_size, patch_size=1)
    # The draw of item i is always the same, so both cut the same boxes; the time of drawing them is not PIL's.
    samples = [dataset[i]['data_samples'] for i in range(len(dataset))]
    passes = {
        'tensor': lambda i: preprocessor(region_collate([dataset[i]])),
        'pil': lambda i: pil_item(samples[i].img_path, samples[i].crop_boxes, image_size, crop_size),
    }
    speed = images_per_s(passes, len(dataset), repeats)
    torch.set_num_threads(threads)
    return {'images': len(dataset), 'crops_per_image': sum(len(s.boxes) for s in samples) / len(samples),
            'tensor_images_per_s': speed['tensor'], 'pil_images_per_s': speed['pil'],
            'ratio': speed['tensor'] / speed['pil']}


def benchmark_shards(folder: str, repeats: int = 5) -> dict[str, float]:
    """Images/s of `RegionDataset` from a tar shard and from files with the same images, decoded, on one core.

    The shard is written to a temporary folder, and the files are copied beside it, so that both lie on one disk.

    Args:
        folder: images.
        repeats: passes over the images; the median counts.

    Returns:
        ``images``, ``file_images_per_s``, ``shard_images_per_s``, ``ratio``.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as root:
        files, shards = Path(root, 'files'), Path(root, 'shards')
        write_both(folder, files, shards)
        datasets = {name: RegionDataset({'type': 'GridRegions'}, img_prefix=str(path), cache_dir=root)
                    for name, path in (('file', files), ('shard', shards))}
        count = len(datasets['file'])
        speed = images_per_s({name: dataset.__getitem__ for name, dataset in datasets.items()}, count, repeats)
    torch.set_num_threads(threads)
    return {'images': count, 'file_images_per_s': speed['file'], 'shard_images_per_s': speed['shard'],
            'ratio': speed['shard'] / speed['file']}


def write_both(folder: str, files: Path, shards: Path) -> None:
    """The images of a folder as files of img2dataset's names, and in one shard.

    Args:
        folder: images.
        files: folder to make.
        shards: likewise.
    """
    files.mkdir()
    shards.mkdir()
    with tarfile.open(shards / '00000.tar', 'w') as tar:
        for number, path in enumerate(list_images(folder).img_paths):
            copy = files / f'{number:09d}{Path(path).suffix}'
            copy.write_bytes(Path(path).read_bytes())
            tar.add(copy, copy.name)


def images_per_s(passes: dict[str, Callable[[int], object]], count: int, repeats: int) -> dict[str, float]:
    """Images/s of each pass by the median of its times; the passes take turns, the first of each is not timed.

    Args:
        passes: by name what loads image i.
        count: number of images.
        repeats: timed passes of each.
    """
    times: dict[str, list[float]] = {name: [] for name in passes}
    for _ in trange(repeats + 1, desc='rounds', disable=None):
        for name, function in passes.items():
            times[name].append(seconds(function, count))
    return {name: count / statistics.median(values[1:]) for name, values in times.items()}
