from collections.abc import Sequence
from pathlib import Path

import torch
from mmengine.structures import PixelData
from mmseg.models.segmentors import BaseSegmentor
from mmseg.structures import SegDataSample

from rsc_mm.models.heads import label_cosines, slide, text_cosines
from rsc_mm.models.text import class_queries, load_class_embeddings, read_aliases
from rsc_mm.registry import MODELS
from rsc_mm.visualization.palette import class_palette

from .file_frame import unflipped, without_padding


@MODELS.register_module()
class DenseCLIPSegmentor(BaseSegmentor):
    r"""Off-the-shelf segmentation: the class of every pixel by text, without training (MaskCLIP, sec. 3.2; SCLIP).

    .. math:: c_{qp} = \cos(f_p, e_q), \quad p_{cp} = \max_{q \in Q_c} \mathrm{softmax}_q(\tau\, c_{qp}), \quad
              \hat y_p = \arg\max_c p_{cp}

    The features f come through the tower's readout. Cosines of windows are upsampled to pixels, averaged where windows
    overlap, and resized to the image file; only then come the softmax over all texts, the best synonym of each class,
    the argmax, and the background where no class reaches the threshold. Images of a batch never touch each other: what
    the preprocessor padded is cut off before.

    Unlike mmseg's segmentors it leaves no ``seg_logits``: those of hundreds of classes at the size of a photograph take
    gigabytes. Mode 'tensor' gives the cosines.

    Args:
        backbone: the tower, such as ``dict(type='rsc_mm.EVACLIPViT', readout='value')``; its weights come from its
            own ``init_cfg``.
        classes: T classes in label order, as `read_class_names` takes them. Synonyms stand in the vocabulary's
            aliases or in the name, between semicolons.
        class_embeddings: embeddings of all texts, as `load_class_embeddings` takes them: usually a dict with the text
            tower and ``prompts='imagenet'``, the 80 templates of OpenAI.
        data_preprocessor: `RectangleSegPreProcessor` with the mean and std of CLIP.
        window: side of a window in pixels, or height and width; None: the whole image at once.
        stride: distance of windows, a number or rows and columns; default: the window.
        logit_scale: :math:`\tau`. The papers tune it, like the threshold, for each method and data set.
        background: name of the class that takes the pixels whose best probability is below ``threshold``.
        threshold: 0..1.
        init_cfg: for MMEngine.

    Raises:
        ValueError: a field is out of its range, or embeddings, classes and tower do not fit.
    """

    def __init__(self, backbone: dict, classes: str | Path | Sequence[str], class_embeddings: torch.Tensor | str | dict,
                 data_preprocessor: dict | None = None, window: int | Sequence[int] | None = None,
                 stride: int | Sequence[int] | None = None, logit_scale: float = 40., background: str | None = None,
                 threshold: float = 0., init_cfg: dict | None = None) -> None:
        super().__init__(data_preprocessor, init_cfg)
        if stride is not None and window is None:
            raise ValueError(f"DenseCLIPSegmentor field 'stride': found {stride} without a 'window', expected both")
        if not 0 <= threshold < 1 or logit_scale <= 0:
            raise ValueError(f"DenseCLIPSegmentor fields 'threshold' and 'logit_scale': found {threshold} and "
                             f'{logit_scale}, expected a probability below 1 and a positive scale')
        self.backbone = MODELS.build(backbone)
        self.window = None if window is None else _pair(window)
        self.stride = self.window if stride is None else _pair(stride)
        self.logit_scale = logit_scale
        self.background_name = background
        self.threshold = threshold
        self.class_embeddings = class_embeddings
        self.register_buffer('embeddings', torch.zeros(0, self.backbone.embed_dim), persistent=False)
        self.set_vocabulary(classes)
        if background is not None and self.background is None:
            raise ValueError(f"DenseCLIPSegmentor field 'background': found {background!r}, expected one of the "
                             f'{len(self.classes)} classes {list(self.classes[:5])} ...')

    def set_vocabulary(self, classes: str | Path | Sequence[str],
                       class_embeddings: torch.Tensor | str | dict | None = None) -> None:
        """Change the classes.

        Args:
            classes: T classes, as in the constructor.
            class_embeddings: as in the constructor; a tensor has a row for each text. None: what the segmentor was
                built with, which must then be a dict with a text tower or a file with the texts.

        Raises:
            ValueError: embeddings and classes do not fit, or a class is named twice.
        """
        spec = self.class_embeddings if class_embeddings is None else class_embeddings
        aliases = read_aliases(classes)
        if isinstance(spec, dict) and spec.get('aliases'):
            spec = dict(spec)
            aliases = {**aliases, **read_aliases(spec.pop('aliases'))}
        names, texts = class_queries(classes, aliases)
        embeddings = load_class_embeddings(spec, [text for part in texts for text in part])
        if embeddings.shape[1] != self.backbone.embed_dim:
            raise ValueError(f"DenseCLIPSegmentor field 'class_embeddings': found {embeddings.shape[1]} channels, "
                             f"expected the tower's {self.backbone.embed_dim}; do they come from the same CLIP?")
        self.embeddings = embeddings.to(self.embeddings.device)
        self.class_embeddings = self.class_embeddings if class_embeddings is None else class_embeddings
        self.classes = tuple(names)
        self.counts = [len(part) for part in texts]

    @property
    def background(self) -> int | None:
        """Label of the background, None where the vocabulary has none."""
        return self.classes.index(self.background_name) if self.background_name in self.classes else None

    @property
    def dataset_meta(self) -> dict:
        """Class names and colours, for mmseg's inferencer and visualizer."""
        return dict(classes=self.classes, palette=class_palette(len(self.classes)))

    @dataset_meta.setter
    def dataset_meta(self, value: dict) -> None:
        """The inferencer would set the classes of what the tower was trained on, or of Cityscapes; the vocabulary is
        the segmentor's own, so they stay as they are."""

    def extract_feat(self, inputs: torch.Tensor) -> torch.Tensor:
        """The tower's dense map.

        Args:
            inputs: normalised images (B, 3, H, W).

        Returns:
            (B, D, h, w), unit norm.
        """
        return self.backbone.encode_dense(inputs)

    def encode_decode(self, inputs: torch.Tensor, batch_data_samples: list | None = None) -> torch.Tensor:
        """Cosines of all texts with every pixel, by windows or at once.

        Args:
            inputs: normalised images (B, 3, H, W), not padded.
            batch_data_samples: not used.

        Returns:
            (B, Q, H, W) float32.
        """
        window = self.window or tuple(inputs.shape[2:])
        return slide(self._score, inputs, window, self.stride or window, self.backbone.patch_size)

    def predict(self, inputs: torch.Tensor, data_samples: list[SegDataSample] | None = None) -> list[SegDataSample]:
        """Adds ``pred_sem_seg`` (1, H, W) at the size of each image file.

        Args:
            inputs: normalised images (B, 3, H, W).
            data_samples: B samples with ``ori_shape`` and, where padded, ``img_padding_size`` or ``padding_size``
                (left, right, top, bottom); default: the inputs are the images.

        Returns:
            The samples.
        """
        samples = data_samples or [SegDataSample(metainfo=dict(ori_shape=inputs.shape[2:])) for _ in inputs]
        parts = [without_padding(image, sample.metainfo) for image, sample in zip(inputs, samples)]
        if len({part.shape for part in parts}) == 1:  # of one size: one pass
            cosines = self.encode_decode(torch.stack(parts))
        else:
            cosines = [self.encode_decode(part[None])[0] for part in parts]
        for sample, scores in zip(samples, cosines):
            labels = label_cosines(unflipped(scores, sample.metainfo), tuple(sample.ori_shape[:2]), self.counts,
                                   self.logit_scale, self.background, self.threshold)
            sample.pred_sem_seg = PixelData(data=labels[None])
        return samples

    def loss(self, inputs: torch.Tensor, data_samples: list[SegDataSample]) -> dict:
        """There is none.

        Args:
            inputs: not used.
            data_samples: not used.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError('DenseCLIPSegmentor has nothing to train: distil its tower (configs/clipself, '
                                  'configs/rsc) or train a head on it (configs/catseg)')

    def _forward(self, inputs: torch.Tensor, data_samples: list[SegDataSample] | None = None) -> torch.Tensor:
        return self.encode_decode(inputs)

    def _score(self, crops: torch.Tensor) -> torch.Tensor:
        return text_cosines(self.extract_feat(crops), self.embeddings)


def _pair(value: int | Sequence[int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])
