from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import torch
from mmengine.config import ConfigDict
from mmengine.structures import PixelData
from mmseg.models.segmentors import EncoderDecoder
from mmseg.structures import SegDataSample
from torch.nn import functional as F

from rsc_mm.models.heads import best_of_queries
from rsc_mm.registry import MODELS
from rsc_mm.visualization.palette import class_palette

from .catseg_head import forward_options
from .file_frame import to_file, without_padding
from .finetuning import attention_layers, train_attention
from .views import TEST_MODES, Views, probabilities_at


@MODELS.register_module()
class CATSeg(EncoderDecoder):
    r"""Open-vocabulary segmentation by cost aggregation on a CLIP (CAT-Seg, Cho et al., CVPR 2024: its "v2").

    .. math:: z = \mathrm{Aggregator}(\cos(D(x), E(\text{classes})), D(x), U_2(x^{(l_1)}), U_4(x^{(l_2)}))

    with D the dense map of the tower through its readout, :math:`x^{(l)}` its tokens after block l and U transposed
    convolutions. Any tower and readout of this package fits. The published models were trained with the readout
    'value_cls'; a model works with the readout that it was trained with and no other.

    At test the classes are those of the vocabulary, which may change after training. Of a class with several texts the
    best counts, as where the public evaluation of VOC21 maps 39 names to the background. With ``test_cfg.chunk_size``
    they are computed so many at a time and only the labels and scores of the best are kept, so that A-847 fits.

    Args:
        backbone: config of a tower; ``frozen_stages`` is decided by ``finetune``.
        decode_head: config of a `CATSegHead`.
        finetune: roles of the attention parameters that train, by tower: ``dict(visual=(...), text=(...))`` of
            `ROLES`; an empty tuple freezes a tower. All else of the towers is frozen.
        layers: the two blocks whose maps guide the decoder, 0-based; None: depth // 3 - 1 and 2 * depth // 3 - 1.
        resize: bring images and windows to the aggregator's ``feature_resolution``, as the paper does; False keeps
            their size, any rectangle.
        train_cfg: not used.
        test_cfg: ``mode`` 'whole', 'slide' or 'squash' with the fields of `TEST_MODES`; ``pooling_size``, (1, 1) by
            default; ``chunk_size``, classes at a time; ``at_once``, views in a pass of the network, 8 by default.
        data_preprocessor: mmseg's ``SegDataPreProcessor`` with CLIP's mean and std.
        init_cfg: see MMEngine's ``BaseModule``.

    Raises:
        ValueError: a field is out of its range.
    """

    def __init__(self, backbone: dict, decode_head: dict, finetune: dict, layers: Sequence[int] | None = None,
                 resize: bool = True, train_cfg: dict | None = None, test_cfg: dict | None = None,
                 data_preprocessor: dict | None = None, init_cfg: dict | None = None) -> None:
        super().__init__(backbone, decode_head, train_cfg=train_cfg, test_cfg=test_cfg or ConfigDict(mode='whole'),
                         data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        tower = self.backbone
        self.layers = tuple(layers or (tower.depth // 3 - 1, 2 * tower.depth // 3 - 1))
        grid = self.decode_head.aggregator.feature_resolution
        self.image_size = (grid[0] * tower.patch_size, grid[1] * tower.patch_size) if resize else None
        self._check_fields()
        self._check_widths()
        self._choose_parameters(finetune)

    @property
    def classes(self) -> tuple[str, ...]:
        """The T classes: in training mode those of training, else those of test."""
        return self.decode_head.vocabulary.classes

    @property
    def dataset_meta(self) -> dict:
        """Class names and colours, for mmseg's inferencer and visualizer."""
        return dict(classes=self.classes, palette=class_palette(len(self.classes)))

    @dataset_meta.setter
    def dataset_meta(self, value: dict) -> None:
        """The inferencer would set the classes of training; those of test are the vocabulary's, so they stay."""

    def set_vocabulary(self, classes: str | Path | Sequence[str]) -> None:
        """Change the classes of test, without training.

        Args:
            classes: T classes: list, vocabulary or file, see `read_class_names`; 'dog; puppy' is one with two texts.
        """
        self.decode_head.vocabulary.set_vocabulary(classes)
        self.train(self.training)

    def train(self, mode: bool = True) -> 'CATSeg':
        """Training mode; training and test may have other classes.

        Args:
            mode: True for training.
        """
        super().train(mode)
        self.num_classes = self.out_channels = self.decode_head.num_classes  # mmseg's own inference reads them
        return self

    def extract_feat(self, inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The dense map and the maps that guide the decoder, in one pass of the tower.

        Args:
            inputs: normalised images (B, 3, H, W).

        Returns:
            (B, D, h, w), not normalised, and two maps (B, C, h, w).
        """
        if self.image_size and inputs.shape[2:] != self.image_size:
            inputs = F.interpolate(inputs, self.image_size, mode='bilinear', align_corners=False)
        *earlier, last = self.backbone.intermediates(inputs, (*self.layers, self.backbone.depth - 1))
        return self.backbone.project(last, normalize=False), *earlier

    def encode_decode(self, inputs: torch.Tensor, batch_img_metas: list[dict]) -> torch.Tensor:
        """Probabilities of every pixel, for mmseg's own inference.

        Args:
            inputs: normalised images (B, 3, H, W).
            batch_img_metas: not used.

        Returns:
            (B, T, H, W).
        """
        probabilities = probabilities_at(self.logits(inputs), inputs.shape[2:])  # (B, Q, H, W)
        return best_of_queries(probabilities, self.decode_head.vocabulary.counts)

    def logits(self, inputs: torch.Tensor) -> torch.Tensor:
        """Logits of all texts as the decoder gives them, with the options of ``test_cfg``.

        Args:
            inputs: normalised images (B, 3, H, W).

        Returns:
            (B, Q, 4h, 4w).
        """
        return self.decode_head(self.extract_feat(inputs), **forward_options(self.test_cfg))

    def predict(self, inputs: torch.Tensor, data_samples: list[SegDataSample] | None = None) -> list[SegDataSample]:
        """Segmentation at the size of the image files.

        Each image is cut out of the batch's padding first, so that what it is batched with does not matter.

        Args:
            inputs: normalised images (B, 3, H, W).
            data_samples: B samples.

        Returns:
            The samples with ``pred_sem_seg`` (1, H, W), ``pred_score``, the probability of that class (1, H, W), and,
            if one chunk holds all classes, ``seg_logits``: their probabilities (T, H, W), named as in mmseg.
        """
        samples = data_samples or [SegDataSample(metainfo=dict(ori_shape=tuple(inputs.shape[2:]))) for _ in inputs]
        make_views = TEST_MODES[self.test_cfg.get('mode', 'whole')]
        views = [make_views(without_padding(image, sample.metainfo), self.test_cfg)
                 for image, sample in zip(inputs, samples)]
        logits = self._logits_of_views([crop for view in views for crop in view.crops])
        for sample, view in zip(samples, views):
            self._add_prediction(sample, view, [next(logits) for _ in view.crops])
        return samples

    def _logits_of_views(self, crops: list[torch.Tensor]) -> Iterator[torch.Tensor]:
        """(Q, h, w) of each crop; neighbours of one size share a pass."""
        sized = [F.interpolate(crop[None], self.image_size or crop.shape[1:], mode='bilinear', align_corners=False)
                 for crop in crops]
        for _, same in groupby(sized, lambda crop: crop.shape):
            for part in torch.cat(list(same)).split(self.test_cfg.get('at_once', 8)):
                yield from self.logits(part)

    def _add_prediction(self, sample: SegDataSample, views: Views, logits: list[torch.Tensor]) -> None:
        """Label and score of the class whose text is the best at each pixel, found chunk by chunk of the texts."""
        counts = self.decode_head.vocabulary.counts
        chunk = self.test_cfg.get('chunk_size') or sum(counts)
        best, queries = None, None
        for start in range(0, sum(counts), chunk):
            scores = views.merge([x[start:start + chunk] for x in logits])
            scores = to_file(scores, sample.metainfo)  # (Q', H, W)
            score, query = scores.max(dim=0, keepdim=True)
            if best is not None:
                query = torch.where(score > best, query + start, queries)
                score = torch.maximum(score, best)
            best, queries = score, query
        label_of = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts)).to(queries.device)  # (Q,)
        sample.set_data(dict(pred_sem_seg=PixelData(data=label_of[queries]), pred_score=PixelData(data=best)))
        if chunk >= sum(counts):
            sample.set_data(dict(seg_logits=PixelData(data=best_of_queries(scores, counts))))

    def _choose_parameters(self, finetune: dict) -> None:
        blocks = dict(visual=self.backbone.vit.blocks, text=self.decode_head.vocabulary.tower.transformer.resblocks)
        if set(finetune) - set(blocks):
            raise ValueError(f"CATSeg field 'finetune': found the towers {sorted(finetune)}, expected {sorted(blocks)}")
        for block in blocks['visual']:
            attention_layers(block.attn)  # splits what is fused, so that each part can be frozen
        self.backbone.requires_grad_(False)
        self.decode_head.vocabulary.requires_grad_(False)
        if not finetune.get('visual'):
            self.backbone.freeze()
        for name in finetune:
            train_attention(blocks[name], finetune[name], f'finetune.{name}')

    def _check_fields(self) -> None:
        depth, mode = self.backbone.depth, self.test_cfg.get('mode', 'whole')
        if len(self.layers) != 2 or not 0 <= self.layers[0] < self.layers[1] < depth - 1:
            raise ValueError(f"CATSeg field 'layers': found {self.layers}, expected two ascending block numbers in "
                             f'0..{depth - 2}; the last block, {depth - 1}, gives the dense map')
        if mode not in TEST_MODES:
            raise ValueError(f"CATSeg field 'test_cfg.mode': found {mode!r}, expected one of {sorted(TEST_MODES)}")

    def _check_widths(self) -> None:
        dims = self.backbone.embed_dim, self.decode_head.vocabulary.text_encoder.embed_dim
        expected = self.decode_head.aggregator.text_projection.in_features
        if dims != (expected, expected):
            raise ValueError(f'CATSeg: found embeddings of {dims[0]} channels from the backbone and {dims[1]} from the '
                             f"text tower, expected {expected}, the field 'decode_head.aggregator.text_dim'")
        head = self.decode_head
        for field, found, width in (
                ('in_channels', head.upsamplers[0].in_channels, self.backbone.width),
                ('aggregator.appearance_dim', head.aggregator.appearance_projection.in_channels, dims[0])):
            if found != width:
                raise ValueError(f"CATSeg field 'decode_head.{field}': found {found}, expected the tower's {width}")
