"""Features of annotated objects, for t-SNE and nearest neighbours."""
import torch
from mmengine.config import Config
from mmengine.logging import print_log

from rsc_mm.datasets import RegionDataset
from rsc_mm.utils.regions import pool_masks

from ..evaluation_data import batches, build_preprocessor
from ..features import Features


def choose_categories(dataset: RegionDataset, names: list[str] | None, count: int) -> list[int]:
    """Labels of the categories: those named, or the things with the most annotated instances.

    Args:
        dataset: its annotation.
        names: categories, or None.
        count: how many, without names.

    Raises:
        ValueError: a name is not the dataset's, or fewer than two categories would be left.
    """
    classes = list(dataset.metainfo['classes'])
    if unknown := [name for name in names or () if name not in classes]:
        raise ValueError(f'--categories: found {unknown}, expected names of {classes}')
    number = torch.bincount(torch.from_numpy(dataset.table.labels), minlength=len(classes))
    number = number * torch.tensor(dataset.metainfo['is_thing'])
    labels = [classes.index(name) for name in names or ()] or number.argsort(descending=True)[:count].tolist()
    if len(labels) < 2:
        raise ValueError(f'--categories, --count: found {len(labels)} categories, expected at least 2')
    return labels


@torch.no_grad()
def collect_objects(config: Config, dataset: RegionDataset, labels: list[int],
                    towers: dict[str, Features], instances: int = 256, batch_size: int = 8,
                    seed: int = 0) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Features (M, D) of the same objects by each checkpoint's name, and their category (M,), a position in labels.

    An object whose mask covers no cell of the grid has no feature: it is left out, and the log says how many are.

    Args:
        config: gives the preprocessor.
        dataset: images with masks.
        labels: the categories.
        towers: for each checkpoint its tower or Refiner.
        instances: most of a category.
        batch_size: images at a time.
        seed: of the order of images.

    Raises:
        ValueError: the dataset has no masks.
    """
    preprocessor, wanted = build_preprocessor(config), dict.fromkeys(labels, instances)
    parts: dict[str, list[torch.Tensor]] = {name: [] for name in towers}
    owners, unseen = [], 0
    order = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(seed)).tolist()
    for batch in batches(dataset, order, batch_size):
        prepared = preprocessor(batch)
        if prepared['masks'] is None:
            raise ValueError(f"{config.filename}: found no masks, expected regions=dict(type='PanopticRegions')")
        visible = [grid.flatten(1).any(1).tolist() for grid in prepared['masks']]
        found = [sample.labels.tolist() for sample in batch['data_samples']]
        unseen += sum(label in wanted and not seen for pair in zip(found, visible) for label, seen in zip(*pair))
        picked = [pick(*pair, wanted) for pair in zip(found, visible)]
        owners += [labels.index(image[row]) for image, rows in zip(found, picked) for row in rows]
        masks = [grid[rows] for grid, rows in zip(prepared['masks'], picked)]
        for name, features in towers.items():
            parts[name].append(pool_masks(features.parts(prepared['images'])[0], masks).cpu())
        if not any(wanted.values()):
            break
    if unseen:
        print_log(f'left out {unseen} objects whose mask covers no cell of the grid', 'current')
    return {name: torch.cat(features) for name, features in parts.items()}, torch.tensor(owners)


def pick(labels: list[int], visible: list[bool], wanted: dict[int, int]) -> list[int]:
    """The rows of an image whose mask covers a cell and whose category is still wanted; counts them off.

    Args:
        labels: categories of the image's objects.
        visible: whether each object's mask covers a cell of the grid: without one it has no feature.
        wanted: how many more of each category; changed.
    """
    rows = []
    for row, (label, seen) in enumerate(zip(labels, visible)):
        if seen and wanted.get(label, 0):
            wanted[label] -= 1
            rows.append(row)
    return rows
