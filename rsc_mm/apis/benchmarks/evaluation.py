"""Time of zero-shot region classification, on a synthetic image and random weights."""
import statistics
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import torch
from mmengine.device import get_device
from torch.nn import functional as F
from tqdm import trange

from rsc_mm.evaluation import RegionClassificationMetric
from rsc_mm.models.region_encoder import RegionEncoder
from rsc_mm.registry import MODELS
from rsc_mm.utils.profiling import clock

from ..config import load_config
from .distillation import Batch, synthetic_batch
from .reference import NAMES, model_factory

STAGES = ('data', 'features', 'ranks', 'total')
CLASSES = 133  # of COCO panoptic


class Case:
    """The evaluation of one image: preprocessing, features of boxes, masks and crops, ranks of the true classes.

    Args:
        config: an evaluation's configuration.
        size: longest side in pixels; None: the configuration's.
        dtype: 'float32', or 'bfloat16' by autocast.
        batch: the image's shape and number of regions.
    """

    name = 'ours'

    def __init__(self, config: str, size: int | None, dtype: str, batch: Batch) -> None:
        self.model = random_encoder(config, size)
        self.size, self.dtype = self.model.data_preprocessor.image_size, dtype
        self.embeddings = F.normalize(torch.randn(CLASSES, self.model.backbone.embed_dim), dim=1).to(get_device())
        self.metric = RegionClassificationMetric(self.embeddings)
        self.batch = with_masks(synthetic_batch(batch))
        self.seconds: dict[str, list[float]] = defaultdict(list)

    @torch.no_grad()
    def run(self, meter: Callable[[], float] = clock) -> None:
        """One pass, timed.

        Args:
            meter: seconds so far.
        """
        times = [meter()]
        inputs = self.model.data_preprocessor(self.batch, False)
        times.append(meter())
        with torch.autocast(torch.device(get_device()).type, torch.bfloat16, enabled=self.dtype == 'bfloat16'):
            features = self.features(inputs)
        times.append(meter())
        self.ranks(features)
        times.append(meter())
        for stage, spent in zip(STAGES, (*(b - a for a, b in zip(times, times[1:])), times[-1] - times[0])):
            self.seconds[stage].append(spent)

    def features(self, inputs: dict) -> object:
        """Unit features of all regions.

        Args:
            inputs: what the preprocessor gave.
        """
        return self.model(**inputs, mode='predict')

    def ranks(self, features: list) -> None:
        """Compares them with the classes.

        Args:
            features: of `features`.
        """
        self.metric.process(None, [sample.to_dict() for sample in features])

    def rows(self) -> list[dict[str, float | int | str]]:
        """The case's lines of the table: medians over all passes but the first."""
        regions = len(self.batch['data_samples'][0].boxes)
        return [dict(evaluation=self.name, dtype=self.dtype, size=self.size, regions=regions, stage=stage,
                     seconds=statistics.median(self.seconds[stage][1:])) for stage in STAGES]


class ReferenceCase(Case):
    """The public CLIPSelf modules on the same input, as their evaluation calls them: the image for boxes and for masks.

    Args:
        folder: that holds their package ``eva_clip``.
        config, size, dtype, batch: see `Case`.

    Raises:
        FileNotFoundError: the folder holds no such package.
    """

    name = 'reference'

    def __init__(self, folder: Path, config: str, size: int | None, dtype: str, batch: Batch) -> None:
        create = model_factory(folder)
        super().__init__(config, size, dtype, batch)
        self.theirs = create(NAMES[self.model.backbone.depth], force_custom_clip=True).to(get_device()).eval()

    def features(self, inputs: dict) -> list[torch.Tensor]:
        """Unit features of boxes, masks and crops, (K, D) each."""
        boxes = [box / self.size for box in inputs['boxes']]
        return [self.theirs.encode_pseudo_boxes(inputs['images'], boxes, normalize=True),
                self.theirs.encode_masks(inputs['images'], inputs['masks'], normalize=True, mask_attn=False),
                self.theirs.encode_image(inputs['crops'], normalize=True)]

    def ranks(self, features: list) -> None:
        """Their five best classes of every region."""
        for rows in features:
            (rows.float() @ self.embeddings.t()).topk(5)


def random_encoder(config: str, size: int | None) -> RegionEncoder:
    """The model of an evaluation's configuration with random weights, on square inputs as the reference has them.

    Args:
        config: its file.
        size: longest side in pixels; None: the configuration's.

    Raises:
        ValueError: the model is no plain `RegionEncoder`.
    """
    model = load_config(config).model
    if model.type != 'RegionEncoder':
        raise ValueError(f"{config}: found model.type {model.type!r}, expected 'RegionEncoder', as in "
                         'configs/evaluation')
    model.backbone.init_cfg = None
    model.data_preprocessor.update(layout='square', image_size=size or model.data_preprocessor.image_size)
    torch.manual_seed(0)
    return MODELS.build(model).to(get_device()).eval()


def with_masks(data: dict[str, list]) -> dict[str, list]:
    """The same batch with a mask in every box, half of them of things.

    Args:
        data: of `synthetic_batch`; changed in place.
    """
    for sample in data['data_samples']:
        rows, columns = (torch.arange(side) for side in sample.ori_shape)
        left, top, right, bottom = sample.boxes[:, :, None].unbind(1)  # (K, 1) each
        inside = ((rows >= top) & (rows < bottom))[:, :, None] & ((columns >= left) & (columns < right))[:, None]
        sample.set_data(dict(masks=inside, is_thing=torch.arange(len(sample.boxes)) % 2 == 0))  # masks (K, H, W)
    return data


def measure(cases: list[Case], rounds: int, meter: Callable[[], float] = clock) -> list[dict[str, float | int | str]]:
    """Lines of all cases with their ratios to the first; the cases run in turns.

    Args:
        cases: of one configuration.
        rounds: timed passes of each, after one untimed.
        meter: seconds so far.
    """
    for _ in trange(rounds + 1, desc='rounds', disable=None):
        for case in cases:
            case.run(meter)
    rows = [row for case in cases for row in case.rows()]
    return [dict(row, ratio=row['seconds'] / rows[i % len(STAGES)]['seconds']) for i, row in enumerate(rows)]
