"""Columns of region classification, and mean accuracy over classes."""
from collections.abc import Sequence

import torch

# Reported name -> (feature of the data sample, whether of things or of stuff): the columns of CLIPSelf's table 2, and
# image crops, their upper bound.
COLUMNS = {
    'boxes': ('box_features', True),
    'thing_masks': ('mask_features', True),
    'stuff_masks': ('mask_features', False),
    'thing_crops': ('crop_features', True),
    'stuff_crops': ('crop_features', False),
}
# Rank of a region without a feature: behind every k.
MISSED = torch.iinfo(torch.long).max


def join_columns(results: list[dict]) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Labels (R,) and ranks (R,) of each of `COLUMNS` that has a region.

    Args:
        results: of each image labels and ranks by the column's name.
    """
    joined = {}
    for name in COLUMNS:
        parts = [result[name] for result in results if name in result]
        if sum(len(labels) for labels, _ in parts):
            labels, ranks = (torch.cat(column) for column in zip(*parts))
            joined[name] = labels, ranks
    return joined


def zero_feature_lines(joined: dict[str, tuple[torch.Tensor, torch.Tensor]]) -> list[str]:
    """A line for each column with regions whose feature is zero.

    Args:
        joined: see `join_columns`.
    """
    counts = {name: (int((ranks == MISSED).sum()), len(ranks)) for name, (_, ranks) in joined.items()}
    return [f'{name}: {zero} of {total} regions have a zero feature (no cell of the grid lies in them) and count as '
            'missed' for name, (zero, total) in counts.items() if zero]


def mean_class_accuracy(labels: torch.Tensor, ranks: torch.Tensor, k: int) -> float:
    """Mean over the classes present of the share of regions with the true class among the first k, in percent.

    Args:
        labels: (R,) int64.
        ranks: (R,) number of classes before the true one.
        k: number of first classes.
    """
    return class_accuracies(labels, ranks, k)[labels.unique()].mean().item()


def class_accuracies(labels: torch.Tensor, ranks: torch.Tensor, k: int) -> torch.Tensor:
    """(max label + 1,) accuracy of each class in percent, NaN without regions; arguments as `mean_class_accuracy`."""
    hits = torch.bincount(labels, weights=(ranks < k).double())
    return 100 * hits / torch.bincount(labels)


def per_class_table(joined: dict[str, tuple[torch.Tensor, torch.Tensor]], classes: Sequence[str], k: int) -> str:
    """A text table: class, number of regions and accuracy of every readout.

    Args:
        joined: labels (R,) and ranks (R,) of each readout.
        classes: names in label order; empty: numbers.
        k: number of first classes that count.
    """
    present = torch.cat([labels for labels, _ in joined.values()]).unique().tolist() if joined else []
    lines = [f'{"class":24s}' + ''.join(f'{"n":>7s} {f"{name}_top{k}":>16s}' for name in joined)]
    accuracies = {name: class_accuracies(*pair, k) for name, pair in joined.items()}
    for label in present:
        line = f'{classes[label] if classes else label!s:24s}'
        for name, (labels, _) in joined.items():
            n = int((labels == label).sum())
            line += f'{n:7d} {accuracies[name][label]:16.1f}' if n else f'{0:7d} {"-":>16s}'
        lines.append(line)
    return '\n'.join(lines)
