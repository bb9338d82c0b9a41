"""What the file of a detector finds on images, beside what the detector finds."""
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from mmengine.registry import DefaultScope

from rsc_mm.apis.detection import Detector
from rsc_mm.apis.images import read_one, to_array

from .detector import DetectorGraph, same_detections
from .ports import Run

Found = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Boxes (N, 4), scores (N,) and labels (N,)."""


@dataclass
class Agreement:
    """Detections of a file and of its detector over images.

    Attributes:
        images: number of images.
        expected: detections of the detector.
        found: detections of the file.
        same: those of the detector that the file has, too: same class, IoU above 0.99.
        score: largest difference of the scores of these.
        box: largest difference of their coordinates, in pixels of the resized image.
    """

    images: int = 0
    expected: int = 0
    found: int = 0
    same: int = 0
    score: float = 0.
    box: float = 0.

    def add(self, expected: Found, found: Found) -> None:
        """Count one image.

        Args:
            expected: of the detector.
            found: of the file.
        """
        self.images += 1
        self.expected += len(expected[0])
        self.found += len(found[0])
        same, partners = same_detections(expected, found)
        self.same += len(same)
        if len(same):
            self.score = max(self.score, float((expected[1][same] - found[1][partners]).abs().max()))
            self.box = max(self.box, float((expected[0][same] - found[0][partners]).abs().max()))

    def __str__(self) -> str:
        return (f'{self.images} images: the model finds {self.expected} objects, the file {self.found}, {self.same} of '
                f'them the same; scores differ by at most {self.score:.1e}, boxes by {self.box:.1e} pixels')


@torch.no_grad()
def compare_detections(detector: Detector, graph: DetectorGraph, run: Run, images: Sequence[str | Path],
                       score: float = 0.05) -> Agreement:
    """What a file finds beside what the detector finds, on images as the detector's pipeline resizes them.

    Args:
        detector: what was exported.
        graph: its graph.
        run: the file, see `open_file`.
        images: files.
        score: lowest score that counts.
    """
    agreement, vocabulary = Agreement(), graph.example(1, 1, 1)[1:]
    for path in images:
        inputs, expected = _predict(detector, to_array(read_one(path)))
        boxes, scores, labels = run((inputs.flip(0)[None].float(), *vocabulary))  # BGR to RGB
        agreement.add(_above(expected, score), _above((boxes, scores, labels), score))
    return agreement


def _predict(detector: Detector, pixels: np.ndarray) -> tuple[torch.Tensor, Found]:
    """The resized image (3, H, W) in BGR and the detections in its pixels."""
    from mmcv.transforms import Compose
    from mmdet.utils import get_test_pipeline_cfg
    pipeline = get_test_pipeline_cfg(detector.config)
    pipeline[0].type = 'mmdet.LoadImageFromNDArray'
    with DefaultScope.overwrite_default_scope(detector.config.get('default_scope', 'mmdet')):
        data = Compose(pipeline)(dict(img=np.ascontiguousarray(pixels[:, :, ::-1]), img_id=0))
        batch = detector.model.data_preprocessor(dict(inputs=[data['inputs']], data_samples=[data['data_samples']]))
        samples = detector.model.predict(batch['inputs'], batch['data_samples'], rescale=False)
        found = samples[0].pred_instances.cpu()
    return data['inputs'], (found.bboxes, found.scores, found.labels)


def _above(found: Found, score: float) -> Found:
    kept = found[1] >= score
    return found[0][kept], found[1][kept], found[2][kept]
