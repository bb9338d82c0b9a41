import torch
from mmseg.models import SegDataPreProcessor
from torch.nn import functional as F

from rsc_mm.registry import MODELS


@MODELS.register_module()
class RectangleSegPreProcessor(SegDataPreProcessor):
    """mmseg's preprocessor that also tests images of different sizes in one batch.

    mmseg demands equal sizes at test time, which photographs resized by their short side do not have. Here images are
    padded with the mean colour, right and below, and what was padded is in the sample's ``img_padding_size``, which
    mmseg's segmentors and `DenseCLIPSegmentor` cut off again.

    Args:
        **kwargs: see mmseg's ``SegDataPreProcessor``.
    """

    def forward(self, data: dict, training: bool = False) -> dict:
        """Normalised images in one tensor.

        Args:
            data: ``inputs``: B images (3, H_i, W_i) uint8; ``data_samples``: B samples, or none.
            training: as mmseg does it.

        Returns:
            ``inputs`` (B, 3, H, W) and ``data_samples``.
        """
        if training:
            return super().forward(data, training)
        alone = [SegDataPreProcessor.forward(self, dict(inputs=[image]))['inputs'][0] for image in data['inputs']]
        height, width = (max(image.shape[side] for image in alone) for side in (1, 2))
        paddings = [(0, width - image.shape[2], 0, height - image.shape[1]) for image in alone]
        samples = self.cast_data(data.get('data_samples'))
        for sample, padding in zip(samples or [], paddings):
            sample.set_metainfo(dict(img_padding_size=padding))
        return dict(inputs=torch.stack([F.pad(*pair) for pair in zip(alone, paddings)]), data_samples=samples)
