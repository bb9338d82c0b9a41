"""Time and arithmetic of a detector's test pass by stage, on synthetic images. Needs mmdet."""
import itertools
import json
import statistics
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config, ConfigDict
from mmengine.device import get_device
from mmengine.registry import DefaultScope
from torch.utils.flop_counter import FlopCounterMode
from tqdm import trange

from rsc_mm.models.detectors import FViT
from rsc_mm.models.text import read_class_names
from rsc_mm.registry import MODELS
from rsc_mm.utils.profiling import CPU_ATTENTION, clock
from rsc_mm.utils.regions import resized_shape

from ..config import load_config

STAGES = {'tower': ('backbone', 'forward'), 'neck': ('neck', 'forward'), 'rpn_head': ('rpn_head', 'predict'),
          'roi_head': ('roi_head', 'predict'), 'total': (None, 'test_step')}


class Case:
    """One detector with its images, and what it spent on each stage of each image."""

    def __init__(self, config: str, dtype: str, layout: str, size: int | None, shapes: list[tuple[int, int]],
                 classes: int | None) -> None:
        cfg = load_config(config)
        self.size = size or tested_size(config, cfg)
        self.name, self.dtype, self.layout = Path(config).stem, dtype, layout
        self.model = random_detector(cfg.model, classes)
        pair = 2 * self.model.backbone.patch_size
        if self.size % pair:
            raise ValueError(f'--sizes: found {self.size}, expected a multiple of {pair}, two patches of {config}')
        self.model.data_preprocessor.pad_size_divisor = self.size if layout == 'square' else pair
        self.images = [synthetic_image(shape, self.size) for shape in shapes]
        self.seconds: dict[tuple[int, str], list[float]] = defaultdict(list)
        self.flops: dict[tuple[int, str], list[float]] = defaultdict(list)
        for stage, (part, method) in STAGES.items():
            owner = getattr(self.model, part) if part else self.model
            setattr(owner, method, self._metered(stage, getattr(owner, method)))

    def _metered(self, stage: str, function: Callable) -> Callable:
        def wrapped(*args: object, **kwargs: object) -> object:
            before = self.meter()
            result = function(*args, **kwargs)
            self.spent[self.image, stage].append(self.meter() - before)
            return result
        return wrapped

    @torch.no_grad()
    def _run(self, image: int, meter: Callable[[], float], spent: dict[tuple[int, str], list]) -> None:
        """The test pass of one image, with clock or counter read around every stage."""
        self.image, self.meter, self.spent = image, meter, spent
        with torch.autocast(torch.device(get_device()).type, torch.bfloat16, enabled=self.dtype == 'bfloat16'):
            self.model.test_step(self.images[image])

    def count(self, image: int) -> None:
        """The untimed pass, which counts FLOPs.

        Args:
            image: number of the image.
        """
        with FlopCounterMode(display=False, custom_mapping=CPU_ATTENTION) as counter:
            self._run(image, counter.get_total_flops, self.flops)

    def time(self, image: int, meter: Callable[[], float] = clock) -> None:
        """A timed pass.

        Args:
            image: number of the image.
            meter: seconds so far.
        """
        self._run(image, meter, self.seconds)

    def rows(self) -> list[dict[str, float | str]]:
        """The case's lines of the table, but for the ratios."""
        names = dict(config=self.name, dtype=self.dtype, layout=self.layout, size=self.size)
        seconds, flops = self._means(self.seconds), self._means(self.flops)
        return [dict(names, stage=stage, seconds=seconds[stage], gflops=flops[stage] / 1e9,
                     share=seconds[stage] / seconds['total']) for stage in STAGES]

    def _means(self, spent: dict[tuple[int, str], list]) -> dict[str, float]:
        """Of each stage the mean over images of the median over rounds."""
        return {stage: statistics.fmean(statistics.median(spent[image, stage]) for image in range(len(self.images)))
                for stage in STAGES}


def measure(cases: list[Case], rounds: int, meter: Callable[[], float] = clock) -> list[dict[str, float | str]]:
    """Lines of all cases with their ratios to the first; the cases take every image in turns.

    Args:
        cases: of the same images.
        rounds: timed passes of every image.
        meter: seconds so far.
    """
    for turn in trange(rounds + 1, desc='rounds', disable=None):
        for image, case in itertools.product(range(len(cases[0].images)), cases):
            case.time(image, meter) if turn else case.count(image)
    rows = [row for case in cases for row in case.rows()]
    for row, first in zip(rows, itertools.cycle(rows[:len(STAGES)])):
        row['ratio'] = row['seconds'] / first['seconds']
    return rows


def tested_size(config: str, cfg: Config) -> int:
    """Longest side to which the test pipeline resizes, in pixels.

    Args:
        config: the configuration's file, for the message.
        cfg: its content.
    """
    if cfg.model.type != 'rsc_mm.FViT':
        raise ValueError(f"{config}: found model.type {cfg.model.type!r}, expected 'rsc_mm.FViT'; training steps of "
                         'other models are timed by tools/benchmarks/distillation.py')
    return max(next(step.scale for step in cfg.test_dataloader.dataset.pipeline if step.type == 'Resize'))


def random_detector(model: ConfigDict, classes: int | None) -> FViT:
    """The detector with random weights and class embeddings, the same at each call, ready to test.

    Args:
        model: the configuration's ``model``; changed in place.
        classes: number of classes in the place of the configuration's; None: its own.
    """
    head = model.roi_head.bbox_head
    if classes:
        head.classes = head.base_classes = [f'class {i}' for i in range(classes)]
    torch.manual_seed(0)
    model.backbone.init_cfg = None
    head.class_embeddings = torch.randn(len(read_class_names(head.classes)) + 1, head.fc_out_channels)
    with DefaultScope.overwrite_default_scope('mmdet'):
        detector = MODELS.build(model)
        detector.init_weights()
    return detector.to(get_device()).eval()


def real_shapes(path: Path, count: int) -> list[tuple[int, int]]:
    """Sizes of images that stand for a whole file: the middles of equal parts of the list sorted by aspect ratio.

    Args:
        path: COCO-style json.
        count: how many.

    Returns:
        Heights and widths in pixels, the widest image first.
    """
    if not path.is_file():
        raise ValueError(f'--ann-file {path}: no such file')
    shapes = [(image['height'], image['width']) for image in json.loads(path.read_text()).get('images', [])]
    if len(shapes) < count:
        raise ValueError(f'--ann-file {path}: found {len(shapes)} images, expected at least {count} (--images)')
    shapes.sort(key=lambda shape: (shape[0] / shape[1], shape))
    return [shapes[(2 * part + 1) * len(shapes) // (2 * count)] for part in range(count)]


def synthetic_image(shape: tuple[int, int], size: int) -> dict[str, list]:
    """A batch of one image as the test pipeline gives it.

    Args:
        shape: height and width before resizing.
        size: longest side after it.
    """
    height, width = resized_shape(shape, size)
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(256, (3, height, width), generator=generator, dtype=torch.uint8)
    sample = DetDataSample(metainfo=dict(img_shape=(height, width), ori_shape=shape,
                                         scale_factor=(width / shape[1], height / shape[0])))
    return dict(inputs=[image], data_samples=[sample])
