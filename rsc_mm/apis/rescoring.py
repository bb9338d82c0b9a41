"""Any detector, any names: a detector's scores fused with the region scores of a dense CLIP, without training."""
import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from rsc_mm.models.heads import fuse_scores
from rsc_mm.utils.regions import expand_boxes

from .dense_clip import DenseCLIP
from .images import ImageLike, read_one


def rescore(model: DenseCLIP, detections: Any, image: ImageLike, names: Sequence[str], alpha: float = 0.1,
            beta: float = 0.8, base: Sequence[str] = ()) -> Any:
    r"""Detections with new scores: the geometric mean of the detector's and CLIP's for the same class (F-VLM, eq. 3).

    .. math:: s' = s^{1-\gamma} q_c^{\gamma}, \quad q = \mathrm{softmax}_c(\cos(v, t_c) / T)

    with v the dense feature of the detection's box, T the model's temperature, :math:`\gamma = \alpha` for classes that
    the detector was trained on, :math:`\beta` for all others. Boxes, labels and their order stay; sort anew what needs
    the best first. A box without area inside the image has no feature and keeps :math:`s^{1-\gamma}` times 0.

    Args:
        model: `rsc_mm.load`.
        detections: a dict or tuple of ``boxes`` (N, 4) as (x1, y1, x2, y2) in pixels, ``scores`` (N,) in 0..1 and
            ``labels`` (N,); mmdet's data sample or its ``pred_instances``; ``supervision.Detections``; `Detections` of
            this package. Anything with ``bboxes``, ``boxes`` or ``xyxy`` and the like will do.
        image: see `DenseCLIP`; upright, as the boxes are.
        names: T classes in the order of the labels.
        alpha: CLIP's share for classes in ``base``, 0..1.
        beta: CLIP's share for all others.
        base: names that the detector was trained on.

    Returns:
        A copy of the detections, of the same kind.

    Raises:
        TypeError: there are no boxes, scores and labels in it.
        ValueError: their numbers differ, or a label has no name.

    Examples:
        >>> import rsc_mm
        >>> model = rsc_mm.load('projects/shapes_clip/shapes_clip.pt', device='cpu')
        >>> found = dict(boxes=[[10, 20, 60, 70]], scores=[0.4], labels=[1])
        >>> rescored = rescore(model, found, 'projects/shapes_clip/scene.jpg', ['circle', 'star'])
        >>> sorted(rescored), len(rescored['scores'])
        (['boxes', 'labels', 'scores'], 1)
    """
    if hasattr(detections, 'pred_instances'):
        sample = copy.copy(detections)
        sample.pred_instances = rescore(model, detections.pred_instances, image, names, alpha, beta, base)
        return sample
    (boxes, scores, labels), key = read_detections(detections)
    if not len(boxes) == len(scores) == len(labels):
        raise ValueError(f'detections: found {len(boxes)} boxes, {len(scores)} scores and {len(labels)} labels, '
                         'expected as many of each')
    if len(labels) and not 0 <= labels.min() <= labels.max() < len(names):
        raise ValueError(f'detections: found the labels {labels.min()} to {labels.max()}, expected 0 to '
                         f'{len(names) - 1}, one for each of the {len(names)} names')
    pixels = read_one(image)
    inside = expand_boxes(torch.from_numpy(boxes), 1., tuple(pixels.shape[1:])).numpy()  # clipped to the image
    seen = (inside[:, :2] < inside[:, 2:]).all(axis=1)
    clip = np.zeros(len(boxes), np.float32)
    if seen.any():
        clip[seen] = model.classify_regions(pixels, inside[seen], names).scores[np.arange(seen.sum()), labels[seen]]
    is_base = torch.tensor([names[label] in set(base) for label in labels], dtype=torch.bool)
    fused = fuse_scores(torch.from_numpy(scores)[None], torch.from_numpy(clip)[None], is_base, alpha, beta)[0].numpy()
    return _with_scores(detections, key, fused)


BOXES, SCORES, LABELS = ('boxes', 'bboxes', 'xyxy'), ('scores', 'confidence'), ('labels', 'class_id')
"""What boxes, scores and labels are called: here, in mmdet, in supervision."""


def read_detections(detections: Any) -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray], str | int]:
    """Boxes (N, 4) float32, scores (N,) float32 and labels (N,) int64, and where the scores stand.

    Args:
        detections: see `rescore`.

    Raises:
        TypeError: there are no boxes, scores and labels in it.
    """
    if isinstance(detections, (tuple, list)) and len(detections) == 3:
        keys: tuple[Any, ...] = (0, 1, 2)
        values = tuple(detections)
    else:
        read = detections.get if isinstance(detections, dict) else lambda key: getattr(detections, key, None)
        keys = tuple(next((key for key in group if read(key) is not None), None) for group in (BOXES, SCORES, LABELS))
        if None in keys:
            missing = next(group for group, key in zip((BOXES, SCORES, LABELS), keys) if key is None)
            raise TypeError(f'detections: found {type(detections).__name__} without any of {missing}, expected boxes, '
                            'scores and labels: arrays, results of mmdet, supervision.Detections')
        values = tuple(read(key) for key in keys)
    arrays = [value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
              for value in values]
    boxes = arrays[0].astype(np.float32).reshape(-1, 4)
    return (boxes, arrays[1].astype(np.float32), arrays[2].astype(np.int64)), keys[1]


def _with_scores(detections: Any, key: str | int, scores: np.ndarray) -> Any:
    """A copy with other scores, of the type and on the device that they had."""
    if isinstance(detections, (tuple, list)):
        return type(detections)(_like(scores, value) if i == key else value for i, value in enumerate(detections))
    if isinstance(detections, dict):
        return {**detections, key: _like(scores, detections[key])}
    changed = copy.copy(detections)
    setattr(changed, key, _like(scores, getattr(detections, key)))
    return changed


def _like(scores: np.ndarray, old: Any) -> Any:
    if isinstance(old, torch.Tensor):
        return torch.from_numpy(scores).to(old)
    return scores.astype(np.asarray(old).dtype) if isinstance(old, np.ndarray) else scores.tolist()
