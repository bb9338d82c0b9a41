"""Image-against-region retrieval: does a location of the dense map describe its image, or the region it lies in?

  python tools/analysis/retrieval.py configs/shapes/region_classification.py CHECKPOINT --reference ORIGINAL

Every location of the dense map retrieves, by cosine, the image it belongs to and the annotated region it belongs to,
each among 50 samples: the right one and 49 wrong ones. Images are encoded as a whole, regions as image crops of their
boxes. Recall at 1, 5 and 10 is the share of locations whose right answer is among the first k (CLIPSelf, Wu et al.,
ICLR 2024, app. A.1; table A1, COCO val2017, ViT-B/16: images 67.0 / 85.6 / 91.4, regions 34.7 / 60.5 / 71.4; after
CLIPSelf images 28.4 / 50.3 / 62.5, regions 57.1 / 80.1 / 85.8).

Chosen here where the paper is silent: images and crops are encoded by --reference, by default CHECKPOINT itself (give
the original tower for a student, whose image embedding was not trained); a location belongs to the smallest box around
its centre, and one without box takes no part in the retrieval of regions; wrong answers are drawn for every location
anew, from the other images; ties count against the location; locations in the padding take no part.

CONFIG is one of a tower; its test_dataloader gives images with boxes, model.data_preprocessor.crop_size the side of the
crops and of the images that are encoded as a whole.
"""
import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import torch
from common import batches, build_preprocessor, evaluation_dataset, format_table, load_config, parser
from features import load_features
from mmengine.config import Config

from rsc_mm.evaluation import recall, retrieve, smallest_regions
from rsc_mm.utils.regions import resized_shape

TOPK = (1, 5, 10)


def parse_args() -> argparse.Namespace:
    arguments = parser(__doc__)
    arguments.add_argument('config', help='configuration of a tower')
    arguments.add_argument('checkpoint', help="weights whose dense map is asked: a file, or 'open_clip::MODEL/TAG'")
    arguments.add_argument('--reference', help='weights that encode images and crops; default: CHECKPOINT')
    arguments.add_argument('--images', type=int, default=200, help='number of images; default 200')
    arguments.add_argument('--samples', type=int, default=50, help='right and wrong answers together; default 50')
    arguments.add_argument('--batch-size', type=int, default=8, help='images at a time; default 8')
    arguments.add_argument('--seed', type=int, default=0, help='of images and wrong answers; default 0')
    arguments.add_argument('--out', type=Path, metavar='JSON', help='where the figures go as well')
    return arguments.parse_args()


def main() -> None:
    args = parse_args()
    figures = measure(load_config(args.config, args.cfg_options), args)
    names = [f'R@{k}' for k in TOPK]
    print(format_table(['', *names, 'locations'], [
        [kind, *(f'{row[name]:.1f}' for name in names), str(row['locations'])] for kind, row in figures.items()]))
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(figures, indent=1))


@torch.no_grad()
def measure(config: Config, args: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Recall of 'images' and of 'regions', each with the number of locations.

    Args:
        config: configuration.
        args: the command line.
    """
    generator = torch.Generator().manual_seed(args.seed)
    # The crop of a region is its box, without the margin that classification of crops takes.
    dataset = evaluation_dataset(config, crop_scale=1)
    order = torch.randperm(len(dataset), generator=generator)[:args.images].tolist()
    encode = Encoder(config, args.checkpoint, args.reference)
    images = [image for batch in batches(dataset, order, args.batch_size) for image in encode(batch)]
    tokens = [image['tokens'] for image in images]
    asked = {'images': ([torch.zeros_like(image['owner']) for image in images], [image['whole'] for image in images]),
             'regions': ([image['owner'] for image in images], [image['crops'] for image in images])}
    ranks = {kind: retrieve(tokens, *answers, args.samples - 1, generator) for kind, answers in asked.items()}
    return {kind: {**recall(r, TOPK), 'locations': len(r)} for kind, r in ranks.items()}


class Encoder:
    """Locations, whole images and image crops of a batch.

    Args:
        config: configuration.
        checkpoint: of the tower whose dense map is asked.
        reference: of the tower that encodes images and crops; None: the same.

    Raises:
        SystemExit: the configuration cuts no crops, or is a Refiner's.
    """

    def __init__(self, config: Config, checkpoint: str, reference: str | None) -> None:
        crop_size = config.model.data_preprocessor.crop_size
        if crop_size is None or config.model.type == 'RefinerTrainer':
            raise SystemExit(f'{config.filename}: found model {config.model.type} with crop_size {crop_size}, expected '
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
            rows, columns = (int(side / patch + 0.5)
                             for side in resized_shape(sample.ori_shape, self.preprocessor.image_size))
            owner = smallest_regions(boxes, dense.shape[1:], patch)[:rows, :columns]
            tokens = dense[:, :rows, :columns].flatten(1).t()  # (N, D)
            yield {'tokens': tokens, 'owner': owner.flatten(), 'whole': part[:1], 'crops': part[1:]}


if __name__ == '__main__':
    main()
