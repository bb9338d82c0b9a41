import torch
from mmengine.structures import InstanceData


def sample_classes(labels: torch.Tensor, base: torch.Tensor, number: int | None) -> torch.Tensor:
    """The classes of a training step: those of its objects, filled up with random others (OV-DQUO on OV-LVIS).

    Args:
        labels: of all objects of the batch (G,); below 0 are unknown objects.
        base: labels of the base classes (N,), ascending.
        number: S; None: all base classes, as on OV-COCO.

    Returns:
        (S,) labels, ascending. Of a batch with more classes than S a random part is taken.
    """
    if number is None:
        return base
    present = torch.isin(base, labels)
    order = torch.rand(len(base), device=base.device) + present  # (N,)
    return base[order.topk(number).indices.sort().values]


def training_objects(objects: InstanceData, classes: torch.Tensor, num_classes: int) -> InstanceData:
    """The objects that take part in a step, with their texts for labels.

    Args:
        objects: of an image, ``bboxes`` (G, 4), ``labels`` (G,) of 0..T-1 or below 0 for unknown objects, and if there
            are unknown ones ``weights`` (G,), in (0, 1] for them.
        classes: those of the step (S,), see `sample_classes`.
        num_classes: T.

    Returns:
        ``bboxes``, ``labels`` of 0..S, S being the wildcard, and ``weights``, 1 for annotated objects. Objects of other
        classes, such as novel ones, are left out.
    """
    place = torch.full((num_classes, ), -1, device=classes.device)
    place[classes] = torch.arange(len(classes), device=classes.device)
    unknown = objects.labels < 0
    labels = torch.where(unknown, len(classes), place[objects.labels.clamp(min=0)])
    weights = torch.ones_like(objects.bboxes[:, 0])
    if 'weights' in objects:
        weights = torch.where(unknown, objects.weights.to(weights), weights)
    return InstanceData(bboxes=objects.bboxes, labels=labels, weights=weights)[labels >= 0]
