import torch
from mmdet.models.roi_heads import StandardRoIHead
from mmdet.structures.bbox import bbox2roi
from mmengine.structures import InstanceData

from rsc_mm.registry import MODELS
from rsc_mm.utils.regions import pool_regions


@MODELS.register_module()
class FViTRoIHead(StandardRoIHead):
    """mmdet's RoI head that also reads CLIP's dense map at test (CLIPSelf, sec. A.3).

    Training is mmdet's. At test the feature levels are followed by the dense map, whose region features the box head
    fuses with its own logits.

    Attributes:
        patch_size: network pixels of a cell of the dense map; set by `FViT`.
    """

    patch_size: int

    def predict_bbox(self, x: tuple[torch.Tensor, ...], batch_img_metas: list[dict],
                     rpn_results_list: list[InstanceData], rcnn_test_cfg: dict,
                     rescale: bool = False) -> list[InstanceData]:
        """Boxes with fused scores.

        Args:
            x: levels of the pyramid (B, C, h_l, w_l), and last CLIP's dense map (B, D, h, w).
            batch_img_metas: meta information of B images.
            rpn_results_list: for each image ``bboxes`` (K_i, 4) in network pixels.
            rcnn_test_cfg: ``score_thr``, ``nms`` and ``max_per_img``.
            rescale: boxes in original pixels.

        Returns:
            For each image ``bboxes`` (N, 4), ``scores`` (N,) and ``labels`` (N,).
        """
        boxes = [proposals.bboxes for proposals in rpn_results_list]
        rois = bbox2roi(boxes)  # (sum K_i, 5)
        if not len(rois):
            return super().predict_bbox(x, batch_img_metas, rpn_results_list, rcnn_test_cfg, rescale)
        features = self.bbox_roi_extractor(x[:self.bbox_roi_extractor.num_inputs], rois)
        logits, deltas = self.bbox_head(features)
        scores = self.bbox_head.scores(logits, pool_regions(x[-1], boxes, self.patch_size))
        split = [tensor.split([len(b) for b in boxes]) for tensor in (rois, scores, deltas)]
        return self.bbox_head.predict_by_feat(*split, batch_img_metas, rcnn_test_cfg, rescale)
