"""Label maps of a pipeline, from maps of any number of classes and from COCO's panoptic files."""
import numpy as np
from mmcv.transforms import BaseTransform

from rsc_mm.registry import TRANSFORMS

from ..image_io import read_segments
from ..label_maps import IGNORE, panoptic_to_semantic, read_label_map, renumber


@TRANSFORMS.register_module()
class LoadLabelMap(BaseTransform):
    """Load ``gt_seg_map``: mmseg's ``LoadAnnotations`` for 8 and 16 bits.

    mmseg casts to 8 bits, so that label 256 of a 16-bit map becomes label 0. Here nothing is cut, and a label that
    equals ``ignore_index`` is an error. Entries without ``seg_map_path`` pass, as mmseg's inferencer has none.

    Args:
        ignore_index: what pixels without a class become; 65535 for more than 255 classes, here and in the metric.

    Raises (`transform`):
        BadImageError: the file is missing or no label map.
        ValueError: a class has the number ``ignore_index``.
    """

    def __init__(self, ignore_index: int = 255) -> None:
        self.ignore_index = ignore_index

    def transform(self, results: dict) -> dict:
        """Adds ``gt_seg_map`` (H, W) int32.

        Args:
            results: with ``seg_map_path``; ``reduce_zero_label`` and ``label_map`` as mmseg's data sets set them.
        """
        if 'seg_map_path' not in results:
            return results
        labels = read_label_map(results['seg_map_path'])
        if results.get('reduce_zero_label'):
            labels = np.where((labels == 0) | (labels == IGNORE), IGNORE, labels - 1)
        if self.ignore_index != IGNORE and (labels == self.ignore_index).any():
            raise ValueError(f"{results['seg_map_path']}: found the class {self.ignore_index}, which is LoadLabelMap's "
                             f'ignore_index; expected ignore_index={IGNORE} there and in the metric')
        if results.get('label_map') is not None:
            labels = renumber(labels, results['label_map'])
        return _add(results, labels, self.ignore_index)


@TRANSFORMS.register_module()
class LoadPanopticLabels(BaseTransform):
    """Load ``gt_seg_map`` from a COCO panoptic png, as `PanopticLabelDataset` lists it.

    Args:
        ignore_index: what unlabelled pixels become.

    Raises (`transform`):
        BadImageError: the file is missing or broken.
        ValueError: a pixel belongs to no listed segment.
    """

    def __init__(self, ignore_index: int = 255) -> None:
        self.ignore_index = ignore_index

    def transform(self, results: dict) -> dict:
        """Adds ``gt_seg_map`` (H, W) int32.

        Args:
            results: with ``seg_map_path``, ``segment_ids`` and ``segment_labels``; without them it passes unchanged.
        """
        if 'seg_map_path' not in results:
            return results
        path = results['seg_map_path']
        segments = read_segments(path, (-1, -1)).numpy()
        labels = panoptic_to_semantic(segments, results['segment_ids'], results['segment_labels'], path)
        return _add(results, labels, self.ignore_index)


def _add(results: dict, labels: np.ndarray, ignore_index: int) -> dict:
    results['gt_seg_map'] = np.where(labels == IGNORE, ignore_index, labels).astype(np.int32)
    results.setdefault('seg_fields', []).append('gt_seg_map')
    return results
