"""Time and memory of CAT-Seg's test pass, by stage and by number of classes at a time. Needs mmseg."""
import multiprocessing
import statistics
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch
from mmengine.device import get_device
from mmengine.registry import DefaultScope
from mmseg.models.segmentors import BaseSegmentor
from mmseg.structures import SegDataSample
from tqdm import trange

from rsc_mm.engine.memory import settle_memory
from rsc_mm.models.segmentors import CATSeg
from rsc_mm.registry import MODELS
from rsc_mm.utils.profiling import clock, peak_memory, quiet_log

from ..config import load_config

STAGES = ('tower', 'space', 'classes', 'decoder', 'total')


class TimedPass:
    """A segmentor with an image, and what it spent on each stage.

    Args:
        name: of its lines in the table.
        model: a segmentor of mmseg.
        classes: number of classes.
        chunk_size: classes at a time; 0 for all.
        shape: height and width of the image in pixels, as the test pipeline would give it.
        parts: by stage the owners and names of the methods that make it up; 'total' is the whole test step.
    """

    def __init__(self, name: str, model: BaseSegmentor, classes: int, chunk_size: int, shape: tuple[int, int],
                 parts: dict[str, list[tuple[object, str]]]) -> None:
        self.name, self.model, self.classes, self.chunk_size = name, model, classes, chunk_size
        generator = torch.Generator().manual_seed(0)
        image = torch.randint(256, (3, *shape), generator=generator, dtype=torch.uint8)
        sample = SegDataSample(metainfo=dict(ori_shape=shape, img_shape=shape))
        self.batch = dict(inputs=[image], data_samples=[sample])
        self.seconds: dict[str, list[float]] = defaultdict(list)
        for stage, methods in {**parts, 'total': [(model, 'test_step')]}.items():
            for owner, method in methods:
                self._meter(stage, owner, method)

    @torch.no_grad()
    def run(self, meter: Callable[[], float] = clock) -> None:
        """One test pass.

        Args:
            meter: seconds so far.
        """
        self.meter, self.spent = meter, dict.fromkeys(STAGES, 0.)
        self.model.test_step(self.batch)
        for stage, value in self.spent.items():
            self.seconds[stage].append(value)

    def rows(self) -> list[dict[str, float | int | str]]:
        """The case's lines of the table: medians over all passes but the first, which also encodes the texts."""
        seconds = {stage: statistics.median(self.seconds[stage][1:]) for stage in STAGES}
        return [dict(config=self.name, classes=self.classes, chunk_size=self.chunk_size, stage=stage,
                     seconds=seconds[stage], share=seconds[stage] / seconds['total']) for stage in STAGES]

    def _meter(self, stage: str, owner: object, method: str) -> None:
        function = getattr(owner, method)

        def wrapped(*args: object, **kwargs: object) -> object:
            before = self.meter()
            result = function(*args, **kwargs)
            self.spent[stage] += self.meter() - before
            return result
        setattr(owner, method, wrapped)


class Case(TimedPass):
    """A `CATSeg` with random weights.

    Args:
        config: its configuration.
        classes: number of classes.
        chunk_size: classes at a time; 0 for all.
        shape: height and width of the image in pixels.
        at_once: views in a pass of the network; None: those of the configuration.
        whole: the image in one view in the place of the configuration's views.
    """

    def __init__(self, config: str, classes: int, chunk_size: int, shape: tuple[int, int],
                 at_once: int | None = None, whole: bool = False) -> None:
        model = random_segmentor(config, classes)
        model.test_cfg.chunk_size = chunk_size or None
        if at_once:
            model.test_cfg.at_once = at_once
        if whole:
            model.test_cfg.mode = 'whole'
        aggregator = model.decode_head.aggregator
        super().__init__(Path(config).stem, model, classes, chunk_size, shape, dict(
            tower=[(model, 'extract_feat')], space=[(layer, 'forward') for layer in aggregator.spatial_layers],
            classes=[(layer, 'forward') for layer in aggregator.class_layers],
            decoder=[(aggregator.decoder, 'forward')]))


def random_segmentor(config: str, classes: int) -> CATSeg:
    """The segmentor of a configuration with random weights and made-up class names, ready to test.

    Args:
        config: its file.
        classes: number of classes.

    Raises:
        ValueError: the model is no `CATSeg`.
    """
    model = load_config(config).model
    if model.type != 'rsc_mm.CATSeg':
        raise ValueError(f"{config}: found model.type {model.type!r}, expected 'rsc_mm.CATSeg'")
    model.backbone.init_cfg = model.decode_head.vocabulary.init_cfg = None
    model.decode_head.vocabulary.test_classes = [f'class {i}' for i in range(classes)]
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmseg'):
        return MODELS.build(model).to(get_device()).eval()


def memory_of(choice: tuple) -> int:
    """Bytes at the peak of a test pass above those of the model itself, measured in a process of its own.

    Args:
        choice: arguments of `Case`.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context('spawn')) as pool:
        return pool.submit(peak_of_a_pass, choice).result()


def peak_of_a_pass(choice: tuple) -> int:
    """The same, of this process.

    Args:
        choice: arguments of `Case`.
    """
    quiet_log()
    settle_memory()
    case = Case(*choice)
    before = peak_memory()
    case.run()
    return peak_memory() - before


def measure_memory(choices: list[tuple]) -> list[dict]:
    """A line for each case with the peak of memory of one pass.

    Args:
        choices: arguments of each `Case`.
    """
    return [dict(config=Path(choice[0]).stem, classes=choice[1], chunk_size=choice[2],
                 memory_mib=memory_of(choice) / 2**20) for choice in choices]


def measure(choices: list[tuple], rounds: int, meter: Callable[[], float] = clock,
            others: Sequence[TimedPass] = ()) -> list[dict]:
    """Lines of all cases, with the ratios to the first case's; the cases run in turns.

    Args:
        choices: arguments of each `Case`.
        rounds: timed passes of each, after one untimed.
        meter: seconds so far.
        others: further cases in the same turns, whose memory is not measured.
    """
    cases = [*(Case(*choice) for choice in choices), *others]
    for _ in trange(rounds + 1, desc='rounds', disable=None):
        for case in cases:
            case.run(meter)
    rows = [row for case in cases for row in case.rows()]
    del cases, case  # their memory, before that of a process of its own is measured
    peaks = [row['memory_mib'] for row in measure_memory(choices)] + [float('nan')] * len(others)
    for i, row in enumerate(rows):
        row['ratio'] = row['seconds'] / rows[i % len(STAGES)]['seconds']
        row['memory_mib'] = peaks[i // len(STAGES)] if row['stage'] == 'total' else ''
    return rows
