"""Image-against-region retrieval of a tower, see `rsc_mm.evaluation.retrieval`."""
from collections.abc import Iterator

import torch
from mmengine.config import Config

from rsc_mm.evaluation import recall, retrieve, smallest_regions
from rsc_mm.utils.regions import centred_cells, resized_shape

from ..config import load_config
from ..evaluation_data import batches, build_preprocessor, evaluation_dataset
from ..features import load_features

TOPK = (1, 5, 10)


@torch.no_grad()
def measure_retrieval(config: str, checkpoint: str, reference: str | None = None, images: int = 200, samples: int = 50,
                      batch_size: int = 8, seed: int = 0, options: dict | None = None) -> dict[str, dict[str, float]]:
    """Recall of 'images' and of 'regions', each with the number of locations.

    Args:
        config: configuration file of a tower.
        checkpoint: weights whose dense map is asked.
        reference: weights that encode images and crops; None: the checkpoint itself.
        images: number of images.
        samples: right and wrong answers together.
        batch_size: images at a time.
        seed: of images and wrong answers.
        options: overrides of the configuration.
    """
    cfg, generator = load_config(config, options), torch.Generator().manual_seed(seed)
    # The crop of a region is its box, without the margin that classification of crops takes.
    dataset = evaluation_dataset(cfg, crop_scale=1)
    order = torch.randperm(len(dataset), generator=generator)[:images].tolist()
    encode = Encoder(cfg, checkpoint, reference)
    found = [image for batch in batches(dataset, order, batch_size) for image in encode(batch)]
    tokens = [image['tokens'] for image in found]
    asked = {'images': ([torch.zeros_like(image['owner']) for image in found], [image['whole'] for image in found]),
             'regions': ([image['owner'] for image in found], [image['crops'] for image in found])}
    ranks = {kind: retrieve(tokens, *answers, samples - 1, generator) for kind, answers in asked.items()}
    return {kind: {**recall(r, TOPK), 'locations': len(r)} for kind, r in ranks.items()}


class Encoder:
    """Locations, whole images and image crops of a batch.

    Args:
        config: configuration.
        checkpoint: of the tower whose dense map is asked.
        reference: of the tower that encodes images and crops; None: the same.

    Raises:
        ValueError: the configuration cuts no crops, or is a Refiner's.
    """

    def __init__(self, config: Config, checkpoint: str, reference: str | None) -> None:
        crop_size = config.model.data_preprocessor.crop_size
        if crop_size is None or config.model.type == 'RefinerTrainer':
            raise ValueError(f'{config.filename}: found model {config.model.type} with crop_size {crop_size}, expected '
                             'a tower and the side of its crops: --cfg-options model.data_preprocessor.crop_size=224')
        self.preprocessor = build_preprocessor(config, crop_size=crop_size)
        self.tower = load_features(config, checkpoint).tower
        self.reference = load_features(config, reference).tower if reference else self.tower

    def __call__(self, batch: dict[str, list]) -> Iterator[dict[str, torch.Tensor]]:
        """For each image ``tokens`` (N, D), ``owner`` (N,), the region of each, ``whole`` (1, D), ``crops`` (K, D).

        Args:
            batch: images and `RegionSample`s.
        """
        samples, patch = batch['data_samples'], self.tower.patch_size
        for sample in samples:
            height, width = sample.ori_shape
            whole = sample.crop_boxes.new_tensor([[0, 0, width, height]])
            sample.crop_boxes = torch.cat([whole, sample.crop_boxes])  # (1 + K, 4)
            if 'masks' in sample:
                del sample.masks  # not needed, and long to resize
        prepared = self.preprocessor(batch)
        embeddings = torch.cat([self.reference.encode_image(part) for part in prepared['crops'].split(128)])
        parts = embeddings.split([len(sample.crop_boxes) for sample in samples])
        for sample, dense, boxes, part in zip(samples, self.tower.encode_dense(prepared['images']), prepared['boxes'],
                                              parts):
            # Tokens whose centre lies in the image, not in the padding.
            rows, columns = centred_cells(resized_shape(sample.ori_shape, self.preprocessor.image_size), patch)
            owner = smallest_regions(boxes, dense.shape[1:], patch)[:rows, :columns]
            tokens = dense[:, :rows, :columns].flatten(1).t()  # (N, D)
            yield {'tokens': tokens, 'owner': owner.flatten(), 'whole': part[:1], 'crops': part[1:]}
