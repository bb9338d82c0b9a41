import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks

from rsc_mm.registry import TRANSFORMS

from ..image_io import read_segments


@TRANSFORMS.register_module()
class LoadPanopticSegments(BaseTransform):
    """Load all segments of a COCO panoptic png as instances: things and stuff alike, as mask classification wants them.

    Crowds are left out: they are neither one thing nor stuff.

    Raises (`transform`):
        BadImageError: the png is missing or broken, or of another size than the image.
    """

    def transform(self, results: dict) -> dict:
        """Adds ``gt_masks`` (N masks), ``gt_bboxes`` around them, ``gt_bboxes_labels`` and ``gt_ignore_flags``.

        Args:
            results: with ``seg_map_path`` and ``segments`` of `PanopticSegmentDataset`, and ``ori_shape``.
        """
        shape = tuple(results['ori_shape'][:2])
        ids = read_segments(results['seg_map_path'], shape).numpy()
        found = [(ids == number, label) for number, label, crowd in results['segments'] if not crowd]
        found = [(mask, label) for mask, label in found if mask.any()]
        masks = np.array([mask for mask, _ in found], np.uint8).reshape(-1, *shape)  # (N, H, W)
        results['gt_masks'] = BitmapMasks(masks, *shape)
        results['gt_bboxes'] = results['gt_masks'].get_bboxes(HorizontalBoxes)
        results['gt_bboxes_labels'] = np.array([label for _, label in found], np.int64)
        results['gt_ignore_flags'] = np.zeros(len(found), bool)
        return results
