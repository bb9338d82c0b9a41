from collections.abc import Sequence
from pathlib import Path

import torch
from mmdet.registry import MODELS as MMDET_MODELS
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import scale_boxes
from mmengine.model import BaseModel
from mmengine.structures import InstanceData

from rsc_mm.datasets.structures import RegionSample
from rsc_mm.models.heads import class_probabilities, fuse_scores, spread_scores, text_cosines
from rsc_mm.models.text import load_class_embeddings, match_names, read_aliases, read_class_names
from rsc_mm.registry import MODELS
from rsc_mm.utils.regions import expand_boxes, pool_regions

from .shared_box_nms import shared_box_nms


@MODELS.register_module()
class RescoredDetector(BaseModel):
    r"""Any detector of mmdet, any names: its scores fused with those of a dense CLIP, without training (F-VLM, eq. 3).

    .. math:: s_{kc} = p_{kc}^{1-\gamma_c}\, q_{kc}^{\gamma_c}, \quad q_k = \mathrm{softmax}_c(\tau \cos(v_k, e_c))

    with v the tower's dense feature of the detector's box k and e the class embeddings. Classes that the detector knows
    by name are base: :math:`\gamma = \alpha`, and p is the detector's score where the box has this label, else 0. All
    others are novel: :math:`\gamma = \beta`, and p is the detector's score whatever the label, since any label says
    that there is an object. Without ``detector_classes`` all are novel, which makes any detector class-agnostic. What
    is fused passes one NMS by class, so that boxes which the detector kept under two of its labels count once.

    `rsc_mm.apis.rescoring.rescore` does the same to detections of a single label each. Masks of the detector are not
    kept: the result is boxes. Both networks see the image that the test pipeline gives, read once: the detector through
    its own preprocessor, the tower through ``region_preprocessor``, one image at a time, so that no image depends on
    the batch.

    Args:
        detector: mmdet's ``model`` of any configuration, with its preprocessor.
        backbone: a CLIP tower; it is frozen.
        region_preprocessor: `RegionPreprocessor` of the tower, with ``layout='rectangle'``.
        classes: T names in label order, as `read_class_names` takes them: list, vocabulary or file.
        class_embeddings: where e comes from, as `load_class_embeddings` takes it; files are read at the first image.
        detector_classes: names of the detector's labels, in their order.
        clip_temperature: :math:`\tau`; 100 in the public CLIPs.
        alpha: CLIP's share for base classes, 0..1.
        beta: CLIP's share for novel classes, 0..1.
        test_cfg: of the last NMS: ``score_thr``, ``nms`` and ``max_per_img``.

    Attributes:
        known: for each class its label among the detector's, -1 if it is novel (T,).

    Raises:
        ValueError: a class is named twice, or a share is not in 0..1.
    """

    def __init__(self, detector: dict, backbone: dict, region_preprocessor: dict, classes: str | Path | Sequence[str],
                 class_embeddings: torch.Tensor | str | dict, detector_classes: str | Path | Sequence[str] = (),
                 clip_temperature: float = 100., alpha: float = 0.1, beta: float = 0.8,
                 test_cfg: dict = dict(score_thr=0., nms=dict(type='nms', iou_threshold=0.5), max_per_img=300)) -> None:
        super().__init__()  # its preprocessor only moves the batch: detector and tower have their own
        _check_share('alpha', alpha)
        _check_share('beta', beta)
        self.detector = MMDET_MODELS.build(detector)
        self.backbone = MODELS.build(backbone).freeze()
        self.region_preprocessor = MODELS.build(region_preprocessor)
        self.classes = tuple(read_class_names(classes))
        twice = sorted({name for name in self.classes if self.classes.count(name) > 1})
        if twice:
            raise ValueError(f"RescoredDetector field 'classes': found {twice} twice, expected every name once")
        self.aliases = read_aliases(classes)
        self.class_embeddings = class_embeddings
        self.detector_classes = tuple(read_class_names(detector_classes)) if len(detector_classes) else ()
        self.register_buffer('known', torch.tensor(match_names(self.classes, self.detector_classes)), persistent=False)
        self.register_buffer('embeddings', None, persistent=False)
        self.clip_temperature = clip_temperature
        self.alpha = alpha
        self.beta = beta
        self.test_cfg = test_cfg

    def forward(self, inputs: list[torch.Tensor], data_samples: list[DetDataSample],
                mode: str = 'predict') -> list[DetDataSample]:
        """`predict`, which is all that a Runner's test asks for.

        Args:
            inputs: see `predict`.
            data_samples: see `predict`.
            mode: 'predict'.

        Raises:
            ValueError: another mode.
        """
        if mode != 'predict':
            raise ValueError(f"RescoredDetector: found mode={mode!r}, expected 'predict': it is not trained; train the "
                             "configuration of its field 'detector'")
        return self.predict(inputs, data_samples)

    def predict(self, inputs: list[torch.Tensor], data_samples: list[DetDataSample]) -> list[DetDataSample]:
        """Detections.

        Args:
            inputs: B images (3, H, W) uint8 BGR, as mmdet's pipelines give them.
            data_samples: B samples, with ``scale_factor`` where the pipeline resized the image.

        Returns:
            The samples with ``pred_instances``: bboxes (N, 4) in original pixels, scores (N,), the best first, and
            labels (N,) among ``classes``.

        Raises:
            ValueError: the detector gave a label that has no name in ``detector_classes``.
        """
        batch = self.detector.data_preprocessor(dict(inputs=inputs, data_samples=data_samples), False)
        samples = self.detector.predict(batch['inputs'], batch['data_samples'], rescale=False)
        for image, sample in zip(inputs, samples):
            sample.pred_instances = self._rescore(image, sample.pred_instances, sample.get('scale_factor', (1., 1.)))
        return samples

    def clip_scores(self, image: torch.Tensor, boxes: torch.Tensor) -> torch.Tensor:
        """The tower's class probabilities q of boxes.

        Args:
            image: (3, H, W) uint8 BGR.
            boxes: (K, 4) in its pixels; a box without area inside the image has no feature.

        Returns:
            (K, T) float32, the rows of boxes without feature 0.
        """
        if not len(boxes):
            return boxes.new_zeros(0, len(self.classes))
        if self.embeddings is None:
            self.embeddings = load_class_embeddings(self.class_embeddings, self.classes, self.aliases).to(boxes.device)
        inside = expand_boxes(boxes, 1., tuple(image.shape[1:]))  # clipped to the image
        seen = (inside[:, :2] < inside[:, 2:]).all(dim=1)
        sample = RegionSample(boxes=inside, crop_boxes=inside[:0])
        ready = self.region_preprocessor(dict(inputs=[image.flip(0)], data_samples=[sample]))
        dense = self.backbone.encode_dense(ready['images'])
        features = pool_regions(dense, ready['boxes'], self.backbone.patch_size)
        cosines = text_cosines(features.t()[None, :, None], self.embeddings)[0]  # (T, 1, K)
        q = class_probabilities(cosines, [1] * len(self.classes), self.clip_temperature)[:, 0].t()  # (K, T)
        return torch.where(seen[:, None], q, torch.zeros_like(q))

    def _rescore(self, image: torch.Tensor, found: InstanceData, factor: Sequence[float]) -> InstanceData:
        boxes, scores, labels = found.bboxes, found.scores.float(), found.labels
        if self.detector_classes and len(labels) and labels.max() >= len(self.detector_classes):
            raise ValueError(f"RescoredDetector field 'detector_classes': found {len(self.detector_classes)} names and "
                             f'the label {int(labels.max())} of the detector, expected a name for each of its labels')
        fused = fuse_scores(spread_scores(scores, labels, self.known), self.clip_scores(image, boxes), self.known >= 0,
                            self.alpha, self.beta)
        fused = torch.cat([fused, fused.new_zeros(len(fused), 1)], dim=1)  # (K, T+1), the background last
        if len(boxes):
            boxes = scale_boxes(boxes, [1 / side for side in factor])
        boxes, labels = shared_box_nms(boxes, fused, **_nms_fields(self.test_cfg))
        return InstanceData(bboxes=boxes[:, :4], scores=boxes[:, 4], labels=labels)


def _nms_fields(test_cfg: dict) -> dict:
    return dict(score_thr=test_cfg['score_thr'], nms_cfg=test_cfg['nms'], max_num=test_cfg['max_per_img'])


def _check_share(field: str, share: float) -> None:
    if not 0 <= share <= 1:
        raise ValueError(f'RescoredDetector field {field!r}: found {share}, expected a share in 0..1')
