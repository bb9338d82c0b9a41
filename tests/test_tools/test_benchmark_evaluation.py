"""Region classification by stage; nothing here depends on how long anything takes."""
import json
import sys

import pytest
import torch

from rsc_mm.apis.benchmarks import evaluation
from rsc_mm.apis.benchmarks.distillation import Batch, synthetic_batch
from tests.test_tools.common import REPOSITORY, load_tool

CONFIG = 'configs/shapes/region_classification.py'
STAGES = ['data', 'features', 'ranks', 'total']
# A stand-in for the public package: what the benchmark asks of it, and nothing of what it is.
PACKAGE = """
import torch

class Model(torch.nn.Module):
    def encode_image(self, images, normalize):
        return torch.ones(len(images), 128)

    def encode_pseudo_boxes(self, images, boxes, normalize):
        assert all((0 <= b).all() and (b <= 1).all() for b in boxes)
        return torch.ones(sum(map(len, boxes)), 128)

    def encode_masks(self, images, masks, normalize, mask_attn):
        assert masks[0].dtype == torch.bool and masks[0].any((1, 2)).all()
        return torch.ones(sum(map(len, masks)), 128)

def create_model(name, force_custom_clip):
    return Model()
"""


@pytest.fixture(autouse=True)
def here(monkeypatch):
    monkeypatch.chdir(REPOSITORY)


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, 'argv', ['tool', *map(str, arguments)])
    load_tool('benchmarks/evaluation').main()


@pytest.fixture
def package(tmp_path):
    """A folder with the stand-in, which no other test sees."""
    (tmp_path / 'eva_clip').mkdir()
    (tmp_path / 'eva_clip' / '__init__.py').write_text(PACKAGE)
    before = sys.modules.pop('eva_clip', None)
    yield tmp_path
    del sys.modules['eva_clip']
    if before:
        sys.modules['eva_clip'] = before


def test_ours_and_the_reference_in_the_same_turns(package, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(evaluation.NAMES, 6, 'the tiny tower')
    run(monkeypatch, CONFIG, '--size', 64, '--regions', 4, '--rounds', 1, '--reference', package, '--json',
        tmp_path / 'rows.json')
    rows = json.loads((tmp_path / 'rows.json').read_text())
    assert [(row['evaluation'], row['stage']) for row in rows] == [
        (name, stage) for name in ('ours', 'reference') for stage in STAGES]
    assert all(row['size'] == 64 and row['regions'] == 4 and row['seconds'] > 0 for row in rows)
    for part in (rows[:4], rows[4:]):
        assert part[3]['seconds'] == pytest.approx(sum(row['seconds'] for row in part[:3]))
    assert rows[7]['ratio'] == rows[7]['seconds'] / rows[3]['seconds'] and rows[0]['ratio'] == 1
    assert len(capsys.readouterr().out.splitlines()) == 9


def test_our_pass_is_the_evaluation_s():
    case = evaluation.Case(CONFIG, 64, 'float32', Batch(crops=3))
    case.run()
    (image, columns), = case.metric.results
    assert image == 0 and {name: len(labels) for name, (labels, _) in columns.items()} == {
        'boxes': 2, 'thing_masks': 2, 'stuff_masks': 1, 'thing_crops': 2, 'stuff_crops': 1}


def test_masks_fill_their_boxes():
    sample, = evaluation.with_masks(synthetic_batch(Batch((20, 30), crops=3)))['data_samples']
    assert sample.masks.shape == (3, 20, 30) and sample.is_thing.tolist() == [True, False, True]
    assert torch.equal(sample.masks[1].nonzero().amin(0), torch.tensor([0, 10]))
    assert torch.equal(sample.masks[1].nonzero().amax(0), torch.tensor([19, 19]))
    assert sample.masks.sum() == 600


def test_other_models_folders_and_numbers_are_refused(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="clipself_grid.py: found model.type 'CLIPSelf', expected 'RegionEncoder'"):
        run(monkeypatch, 'configs/shapes/clipself_grid.py')
    with pytest.raises(FileNotFoundError, match='found no package eva_clip, expected the folder src/open_clip'):
        run(monkeypatch, CONFIG, '--reference', tmp_path)
    with pytest.raises(SystemExit, match='--regions, --rounds and --shape: expected numbers of at least 1'):
        run(monkeypatch, CONFIG, '--regions', 0)
