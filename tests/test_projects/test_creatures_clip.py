import re
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import rsc_mm
from rsc_mm.datasets.creatures import THINGS
from rsc_mm.datasets.creatures_scene import CREATURES
from rsc_mm.datasets.shapes import COLOURS

PROJECT = Path(__file__).parents[2] / 'projects' / 'creatures_clip'


@pytest.fixture(scope='module')
def project() -> SimpleNamespace:
    """The project's modules; they are scripts beside each other, not a package, and share names with other projects."""
    path, modules = list(sys.path), dict(sys.modules)
    sys.path.insert(0, str(PROJECT))
    try:
        for name in ('model', 'pool', 'samples', 'train', 'windows', 'criteria'):
            sys.modules.pop(name, None)
        import criteria
        import train
        import windows
        return SimpleNamespace(train=train, windows=windows, criteria=criteria)
    finally:
        sys.path[:] = path
        for name in ('model', 'pool', 'samples', 'train', 'windows', 'criteria'):
            sys.modules.pop(name, None)
            if name in modules:
                sys.modules[name] = modules[name]


def test_captions_are_true_and_state_what_they_say(project: SimpleNamespace) -> None:
    names_thing, names_stuff = [], []
    for index in range(120):
        sample = project.windows.draw_sample(np.random.default_rng((3, index)))
        assert sample.image.shape == (64, 64, 3) and sample.image.dtype == np.uint8
        assert not (sample.stated & ~sample.facts).any()
        words = re.findall('[a-z]+', sample.caption)
        assert {CREATURES.classes[i] for i in np.flatnonzero(sample.stated)} == set(words) & set(CREATURES.classes)
        assert not set(words) & set(COLOURS)
        names_thing.append(bool(set(words) & set(THINGS)))
        names_stuff.append(bool(set(words) & set(CREATURES.stuff)))
    assert np.mean(names_thing) > 0.75 and np.mean(names_stuff) < 0.35


def test_a_mosaic_is_labelled_where_one_pattern_fills_a_patch(project: SimpleNamespace) -> None:
    images, label = project.train.take_mosaics(1, 0, 12)
    assert images.shape == (12, 3, 64, 64) and label.shape == (12, 64)
    assert label.min() >= -1 and label.max() < 8 and 0.5 < (label >= 0).float().mean() < 1
    again = project.train.take_mosaics(1, 0, 12)
    assert (again[0] == images).all() and (again[1] == label).all()


def test_local_task_by_hand(project: SimpleNamespace) -> None:
    task = project.train.LocalTask()
    torch.nn.init.zeros_(task.head.weight)
    torch.nn.init.zeros_(task.head.bias)
    images = torch.full((1, 3, 64, 64), 51, dtype=torch.uint8)  # 0.2 of white, the head says 0
    tokens, label = torch.randn(1, 64, 128), torch.full((1, 64), -1)
    assert task(tokens, images)[0].item() == pytest.approx(10 * 0.04, rel=1e-5)
    label[0, :10] = 3
    assert task(tokens, images, label)[0].item() == pytest.approx(0.4 + np.log(8), rel=1e-5)


def test_criteria_by_hand(project: SimpleNamespace) -> None:
    def row(boxes: float, stuff: float) -> dict[str, float]:
        return dict(boxes_top1=boxes, stuff_masks_top1=stuff, thing_crops_top1=60.)

    figures = dict(original=row(20., 30.), grid=row(30., 80.), proposals=row(40., 50.))
    auc = dict(original=0.75, grid=0.76, proposals=0.74)
    assert all(holds for _, holds in project.criteria.judge(figures, auc).values())
    verdict = project.criteria.judge(figures, dict(auc, proposals=0.75))
    assert [holds for _, holds in verdict.values()] == [True, True, False]
    figures['original'] = row(21., 30.)
    figures['proposals'] = row(40., 80.)
    assert [holds for _, holds in project.criteria.judge(figures, auc).values()] == [False, False, True]


def test_criteria_of_another_tower_start_at_it_and_read_its_names(project: SimpleNamespace, monkeypatch) -> None:
    trained, evaluated = [], []
    monkeypatch.setattr(project.criteria, 'train', lambda run, *_: trained.append(run.options) or 'iter_375.pth')
    monkeypatch.setattr(project.criteria, 'evaluate', lambda run, *_: evaluated.append(run.options) or {})
    monkeypatch.setattr(project.criteria, 'load_several', lambda configs, checkpoints, names: checkpoints)
    monkeypatch.setattr(project.criteria, 'measure_segments', lambda config, checkpoints, images: checkpoints)
    args = SimpleNamespace(clip='other.pt', work_dir=Path('w'), threads=1, images=3, cfg_options=['a.b=c'])
    assert project.criteria.measure(args)[1] == ['other.pt', 'iter_375.pth', 'iter_375.pth']
    assert len(trained) == 2 and all('model.backbone.init_cfg.checkpoint=other.pt' in run for run in trained)
    assert all(run[-1] == 'a.b=c' for run in trained)
    names = 'test_evaluator.class_embeddings.text_encoder.checkpoint=other.pt'
    assert len(evaluated) == 3 and all(names in run for run in evaluated)


def test_a_few_windows_are_learnt_and_a_run_goes_on(project: SimpleNamespace, tmp_path: Path, monkeypatch) -> None:
    def draw(seed: int, count: int) -> list:  # as draw_pool, in this process
        return [project.windows.draw_sample(np.random.default_rng((seed, i))) for i in range(count)]

    monkeypatch.setattr(project.train, 'draw_pool', draw)
    monkeypatch.setattr(project.train, 'BATCH', 8)
    common = ['train.py', '--work-dir', str(tmp_path), '--pool', '16', '--mosaics', '16', '--samples']
    monkeypatch.setattr(sys, 'argv', [*common, '16'])
    project.train.main()
    first = torch.load(tmp_path / 'creatures_clip.pt')
    assert first['meta']['samples_seen'] == 16 and first['meta']['image_size'] == 192
    monkeypatch.setattr(sys, 'argv', [*common, '24'])
    project.train.main()
    again = torch.load(tmp_path / 'creatures_clip.pt')
    assert again['meta']['samples_seen'] == 24 and torch.load(tmp_path / 'latest.pt')['step'] == 3
    assert any((first['state_dict'][key] != value).any() for key, value in again['state_dict'].items())


def test_the_shipped_tower_is_read_by_name() -> None:
    model = rsc_mm.load(PROJECT / 'creatures_clip.pt', device='cpu')
    image = CREATURES.draw_scene(np.random.default_rng(4)).image
    assert model.encode_dense(image).shape == (128, -(-image.shape[0] // 8), -(-image.shape[1] // 8))
