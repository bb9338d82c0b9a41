"""Time and arithmetic of a tower's dense map, by readout, on a synthetic image and random weights."""
import statistics
from collections.abc import Callable

import torch
from mmengine.config import ConfigDict
from mmengine.device import get_device
from torch.utils.flop_counter import FlopCounterMode

from rsc_mm.registry import MODELS
from rsc_mm.utils.profiling import CPU_ATTENTION, clock


class Case:
    """One tower with a readout, and the seconds of its passes.

    Args:
        backbone: configuration of the tower; its weights are not read.
        readout: name of the readout, with its default fields.
    """

    def __init__(self, backbone: ConfigDict, readout: str) -> None:
        self.readout = readout
        torch.manual_seed(0)
        self.tower = MODELS.build({**backbone, 'readout': readout, 'init_cfg': None}).to(get_device()).freeze()
        self.seconds: list[float] = []

    def run(self, image: torch.Tensor, meter: Callable[[], float]) -> None:
        """One dense map, timed.

        Args:
            image: (1, 3, H, W).
            meter: seconds so far.
        """
        start = meter()
        self.tower.encode_dense(image)
        self.seconds.append(meter() - start)

    def gflops(self, image: torch.Tensor) -> float:
        """Billions of FLOPs of the matrix products, convolutions and attention of a dense map, as torch counts them.

        A multiplication and an addition are two.

        Args:
            image: (1, 3, H, W).
        """
        with FlopCounterMode(display=False, custom_mapping=CPU_ATTENTION) as counter:
            self.tower.encode_dense(image)
        return counter.get_total_flops() / 1e9


@torch.no_grad()
def measure_readouts(backbone: ConfigDict, readouts: list[str], size: int, rounds: int,
                     meter: Callable[[], float] = clock) -> list[dict[str, float | str]]:
    """A line for each readout, with the ratio of its time to the first one's; the readouts run in turns.

    Args:
        backbone: configuration of the tower.
        readouts: names.
        size: side of the square image in pixels.
        rounds: timed passes of each, after one untimed.
        meter: seconds so far.
    """
    cases = [Case(backbone, readout) for readout in readouts]
    image = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(0)).to(get_device())
    for _ in range(rounds + 1):
        for case in cases:
            case.run(image, meter)
    seconds = [statistics.median(case.seconds[1:]) for case in cases]
    return [dict(readout=case.readout, size=size, gflops=case.gflops(image), seconds=value, ratio=value / seconds[0])
            for case, value in zip(cases, seconds)]
