"""Time of class-wise NMS of shared boxes: mmdet's own function beside ours. Needs mmdet."""
from collections.abc import Callable

import torch
from mmdet.models.layers import multiclass_nms
from mmengine.device import get_device
from tqdm import trange

from rsc_mm.models.detectors.shared_box_nms import shared_box_nms
from rsc_mm.utils.profiling import clock


def synthetic_detections(boxes: int, classes: int, objects: int = 60) -> tuple[torch.Tensor, torch.Tensor]:
    """Boxes around some objects of an image of 1024 px, and scores as a softmax over classes gives them.

    Args:
        boxes: number K of boxes.
        classes: number T of classes.
        objects: number of centres.

    Returns:
        (K, 4), and scores (K, T+1) with the background.
    """
    generator = torch.Generator().manual_seed(0)
    places = torch.rand(objects, 4, generator=generator) * torch.tensor([800., 800., 200., 200.]) + 20
    place = places[torch.randint(objects, (boxes, ), generator=generator)]
    place = place + 8 * torch.randn(boxes, 4, generator=generator)
    found = torch.cat([place[:, :2], place[:, :2] + place[:, 2:].clamp(min=1)], dim=1).clamp(0, 1024)  # (K, 4)
    scores = (2 * torch.randn(boxes, classes + 1, generator=generator)).softmax(1)
    return found.to(get_device()), scores.to(get_device())


def measure(boxes: int, classes: int, score_thr: float, iou_threshold: float, max_num: int, rounds: int,
            meter: Callable[[], float] = clock) -> list[dict[str, float | int | str | bool]]:
    """A line for either function, in turns: seconds of an image (the best of the rounds), and whether they agree.

    Args:
        boxes: of an image.
        classes: number of classes.
        score_thr: pairs of a box and a class of a score at most this are left out.
        iou_threshold: of the NMS.
        max_num: most detections.
        rounds: timed calls of each.
        meter: seconds so far.
    """
    given = synthetic_detections(boxes, classes)
    pairs = int((given[1][:, :-1] > score_thr).sum())
    seconds, results = {}, {}
    for _ in trange(rounds, desc='rounds', disable=None):
        for name, function in (('mmdet', multiclass_nms), ('shared boxes', shared_box_nms)):
            before = meter()
            results[name] = function(*given, score_thr, dict(type='nms', iou_threshold=iou_threshold), max_num)
            seconds[name] = min(meter() - before, seconds.get(name, float('inf')))
    equal = all(torch.equal(*parts) for parts in zip(*results.values()))
    return [dict(nms=name, boxes=boxes, classes=classes, pairs=pairs, detections=len(results[name][1]),
                 seconds=seconds[name], ratio=seconds[name] / seconds['mmdet'], equal=equal) for name in results]
