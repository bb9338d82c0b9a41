"""The public CLIPSelf modules in the same turns as ours; nothing of them is in this package."""
import importlib
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from mmengine.device import get_device
from torch.nn import functional as F

from rsc_mm.registry import MODELS
from rsc_mm.utils.profiling import clock

from .distillation import COCO_IMAGES, Choice, synthetic_batch

NAMES = {12: 'EVA02-CLIP-B-16', 24: 'EVA02-CLIP-L-14-336'}
"""The reference's name of a tower, by its depth."""


def model_factory(folder: Path) -> Callable[..., torch.nn.Module]:
    """The function of the public package ``eva_clip`` that makes a model from its name.

    Args:
        folder: that holds the package (in their repository src/open_clip).

    Raises:
        FileNotFoundError: the folder holds no such package.
    """
    if not Path(folder, 'eva_clip', '__init__.py').is_file():
        raise FileNotFoundError(f'--reference {folder}: found no package eva_clip, expected the folder '
                                'src/open_clip of the public CLIPSelf code')
    sys.path.insert(0, str(folder))
    try:
        return importlib.import_module('eva_clip').create_model
    finally:
        sys.path.remove(str(folder))


class ReferenceCase:
    """A CLIPSelf step of the public modules on our batch, with random weights, as its training loop does it.

    Images are squares. The value path of every block and the text tower are theirs; a step is the student's
    ``encode_pseudo_boxes``, the teacher's ``encode_image`` of the crops, the cosine loss, backward and AdamW.

    Args:
        folder: that holds their package ``eva_clip`` (in their repository src/open_clip).
        model: the ``model`` of our configuration, for tower and preprocessing.
        choice: dtype (float32 as they train, or bfloat16 by autocast), size and batch.

    Raises:
        FileNotFoundError: the folder holds no such package.
    """

    def __init__(self, folder: Path, model: dict, choice: Choice) -> None:
        create = model_factory(folder)
        self.choice = choice
        tower = MODELS.build({**model['backbone'], 'init_cfg': None})
        self.size = choice.size or model['data_preprocessor']['image_size']
        self.pixels = MODELS.build({**model['data_preprocessor'], 'image_size': self.size, 'layout': 'square'})
        self.pixels.to(get_device())
        self.student, self.teacher = (create(NAMES[tower.depth], force_custom_clip=True).to(get_device())
                                      for _ in range(2))
        self.teacher.requires_grad_(False).eval()
        self.optimizer = torch.optim.AdamW([p for p in self.student.parameters() if p.requires_grad], lr=1e-5)
        self.batch = synthetic_batch(choice.batch)
        self.data, self.step = [], []

    def run(self) -> None:
        """One step, timed."""
        start = clock()
        inputs = self.pixels(self.batch, True)
        middle = clock()
        with torch.autocast(torch.device(get_device()).type, torch.bfloat16, enabled=self.choice.dtype == 'bfloat16'):
            boxes = [box / self.size for box in inputs['boxes']]
            regions = self.student.encode_pseudo_boxes(inputs['images'], boxes, normalize=True)
            with torch.no_grad():
                targets = F.normalize(self.teacher.encode_image(inputs['crops']), dim=1)
            loss = 1 - (regions * targets).sum(1).mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.data.append(middle - start)
        self.step.append(clock() - middle)

    def row(self, rate: float) -> dict[str, float | str]:
        """The case's line of the table.

        Args:
            rate: not used; their FLOPs are not counted.
        """
        step, data = statistics.median(self.step[1:]), statistics.median(self.data[1:])
        images, unknown = self.choice.batch.size / (step + data), float('nan')
        return dict(config='reference', dtype=self.choice.dtype, layout='square', size=self.size,
                    images=self.choice.batch.size, regions=self.choice.batch.crops, data_s=data, step_s=step,
                    images_per_s=images, tokens_per_s=unknown, hours=COCO_IMAGES * 6 / images / 3600, gflops=unknown,
                    mfu=unknown)
