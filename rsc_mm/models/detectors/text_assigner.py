import torch
from mmdet.models.task_modules import AssignResult, HungarianAssigner
from mmdet.structures.bbox import bbox_overlaps
from mmengine.structures import InstanceData
from scipy.optimize import linear_sum_assignment

from rsc_mm.registry import TASK_UTILS

FORBIDDEN = 99.  # more than any sum of costs in the configs


@TASK_UTILS.register_module()
class TextHungarianAssigner(HungarianAssigner):
    r"""Hungarian matching in which an object may only take a query that carries its text (OV-DQUO, class-aware).

    A pair of other texts costs 99 and is cut afterwards. An object without a query of its text that it overlaps in the
    sense of GIoU > 0 takes no part: it is in no loss of its image, rather than forced on a query of another text.

    Args:
        match_costs: see mmdet's `HungarianAssigner`.
    """

    @torch.no_grad()
    def assign(self, pred_instances: InstanceData, gt_instances: InstanceData, img_meta: dict | None = None,
               **kwargs: object) -> AssignResult:
        """Match the queries of one image.

        Args:
            pred_instances: ``scores`` (Q, 1) logits, ``bboxes`` (Q, 4) corners in network pixels, ``texts`` (Q,).
            gt_instances: ``bboxes`` (G, 4) likewise, ``labels`` (G,) for the costs, ``texts`` (G,).
            img_meta: ``img_shape``.
            **kwargs: unused, mmdet's interface.

        Returns:
            ``gt_inds`` (Q,): 0 for background, else 1 + the object's number.
        """
        same = pred_instances.texts[:, None] == gt_instances.texts  # (Q, G)
        overlap = bbox_overlaps(pred_instances.bboxes, gt_instances.bboxes, mode='giou') > 0
        wanted = (same & overlap).any(0).nonzero()[:, 0]
        found = torch.zeros_like(pred_instances.texts)
        labels = torch.full_like(found, -1)
        if len(wanted):
            same, objects = same[:, wanted], gt_instances[wanted]
            costs = [cost(pred_instances, objects, img_meta=img_meta) for cost in self.match_costs]
            rows, columns = linear_sum_assignment(sum(costs).masked_fill(~same, FORBIDDEN).cpu())
            rows, columns = (torch.as_tensor(part, device=found.device) for part in (rows, columns))
            allowed = same[rows, columns]
            rows, columns = rows[allowed], wanted[columns[allowed]]
            found[rows] = columns + 1
            labels[rows] = gt_instances.labels[columns]
        return AssignResult(len(gt_instances), found, None, labels=labels)
