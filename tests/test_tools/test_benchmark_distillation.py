import math
from pathlib import Path

import pytest

from rsc_mm.apis.benchmarks import distillation
from rsc_mm.apis.benchmarks.distillation import COCO_IMAGES, Batch, Case, Choice, measure, scaled
from rsc_mm.apis.benchmarks.reference import ReferenceCase
from rsc_mm.apis.config import load_config
from tests.test_tools.common import REPOSITORY

CONFIG = str(REPOSITORY / 'configs' / 'shapes' / 'clipself_proposals.py')
# A stand-in for the public package: what the benchmark asks of it, and nothing of what it is.
PACKAGE = """
import torch

class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(3, 4)

    def encode_image(self, images):
        return self.layer(images.mean((2, 3)))

    def encode_pseudo_boxes(self, images, boxes, normalize):
        assert normalize and all((0 <= b).all() and (b <= 1).all() for b in boxes)
        regions = torch.cat([i.mean((1, 2)).expand(len(b), 3) for i, b in zip(images, boxes)])
        return torch.nn.functional.normalize(self.layer(regions), dim=1)

def create_model(name, force_custom_clip):
    return Model()
"""


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.setattr(distillation, 'memory_of', lambda choice: 2**20)  # it takes a process of its own


def test_cached_targets_and_the_reference_run_in_the_same_turns(tmp_path: Path,
                                                                monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / 'eva_clip').mkdir()
    (tmp_path / 'eva_clip' / '__init__.py').write_text(PACKAGE)
    monkeypatch.setattr('rsc_mm.apis.benchmarks.reference.NAMES', {6: 'the tiny tower'})
    choice = Choice(CONFIG, 'float32', size=64, batch=Batch(size=2, crops=3))
    other = ReferenceCase(tmp_path, load_config(CONFIG).model, choice)
    rows = measure([choice, choice._replace(cached=True)], 1, (other, ))
    ours, cached, reference = rows
    assert [row['config'] for row in rows] == ['clipself_proposals', 'clipself_proposals cached', 'reference']
    assert ours.keys() == cached.keys() == reference.keys() and ours['step_ratio'] == 1
    assert cached['gflops'] < ours['gflops'], 'the teacher did not rest'
    assert math.isnan(reference['mfu']) and reference['step_s'] > 0 and len(other.step) == 2
    assert ours['hours'] == pytest.approx(COCO_IMAGES * 3 / ours['images_per_s'] / 3600)
    assert ours['tokens_per_s'] == pytest.approx(64 * ours['images_per_s'])  # 8 x 8 tokens an image


def test_folder_without_the_reference_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match='found no package eva_clip, expected the folder src/open_clip'):
        ReferenceCase(tmp_path, load_config(CONFIG).model, Choice(CONFIG))


def test_scaling_changes_one_thing_at_a_time() -> None:
    first = Choice('c', size=64, batch=Batch(size=1, crops=6))
    sizes = [(choice.batch.size, choice.batch.crops, choice.size) for choice in scaled(first, 16)]
    assert sizes == [(1, 6, 64), (2, 6, 64), (4, 6, 64), (1, 12, 64), (1, 24, 64), (1, 6, 96), (1, 6, 128)]


def test_images_of_a_batch_are_different_images(tmp_path: Path) -> None:
    case = Case(Choice(CONFIG, 'float32', size=64, batch=Batch(size=2, crops=2), cached=True), str(tmp_path))
    case.run()
    samples = case.batch['data_samples']
    assert [sample.img_id for sample in samples] == [0, 1]
    assert set(samples[0].cached_crops.keys).isdisjoint(samples[1].cached_crops.keys)
