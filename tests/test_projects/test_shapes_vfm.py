import hashlib
import importlib.util
import math
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from mmengine.config import Config
from torch.nn import functional as F

from rsc_mm.apis import load_config
from rsc_mm.apis.analysis.segments import measure_segments
from rsc_mm.apis.features import load_several
from rsc_mm.models import VFMTeacher
from rsc_mm.models.teachers.vfm import statistics
from rsc_mm.registry import MODELS
from rsc_mm.utils.checkpoint import read_checkpoint
from tests.test_tools.common import REPOSITORY

PROJECT = REPOSITORY / 'projects/shapes_vfm'
CHECKPOINT = PROJECT / 'shapes_vfm.pt'
USERS = ('configs/shapes/declip_qq.py', 'configs/shapes/declip_csa.py', 'configs/shapes/denserc.py')


def load_script(name: str) -> ModuleType:
    """One of the project's scripts; they stand beside each other, and are no package."""
    spec = importlib.util.spec_from_file_location(f'shapes_vfm_{name}', PROJECT / f'{name}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def root(monkeypatch, shapes_root):
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.setenv('SHAPES_ROOT', str(shapes_root))


@pytest.fixture(scope='module')
def segments() -> ModuleType:
    return load_script('segments')


def one_hot(*numbers: int) -> torch.Tensor:
    """Shares (1, N, K) of patches that lie in one segment each."""
    return F.one_hot(torch.tensor([numbers])).float()


def slow_loss(tokens: torch.Tensor, shares: torch.Tensor, scale: float, bias: float) -> float:
    """The loss of one image, prompt by prompt and pair by pair."""
    total, areas = 0., 0.
    for i in range(len(tokens)):
        same, different = [], []
        for j in (j for j in range(len(tokens)) if j != i):
            p = 1 / (1 + math.exp(-scale * F.cosine_similarity(tokens[i], tokens[j], 0).item() - bias))
            y = (shares[i] @ shares[j]).item()
            same.append((y, math.log(p)))
            different.append(((shares[i].sum() * shares[j].sum()).item() - y, math.log(1 - p)))
        halves = [sum(w * value for w, value in pairs) / max(sum(w for w, _ in pairs), 1e-6) / 2
                  for pairs in (same, different)]
        total -= shares[i].sum().item() * sum(halves)
        areas += shares[i].sum().item()
    return total / areas


def test_loss_by_hand(segments):
    # Patches 0 and 1 show one segment and are alike, patch 2 another and is orthogonal: p = sigma(2 - 1) and sigma(-1).
    tokens = torch.tensor([[[1., 0], [1, 0], [0, 1]]])
    loss = segments.segment_loss(tokens, one_hot(0, 0, 1), torch.tensor(2.), torch.tensor(-1.))
    term = math.log(1 + math.exp(-1))  # of a pair of one segment and of a pair of two alike
    assert loss.item() == pytest.approx((2 * term + term / 2) / 3, rel=1e-6)  # the last has no partner: half a term


def test_loss_is_the_slow_one_on_patches_of_several_segments(segments):
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randn(1, 6, 4, generator=generator)
    shares = torch.rand(1, 6, 3, generator=generator)
    shares = shares / shares.sum(2, keepdim=True)
    shares[:, 4] *= 0.5  # half of it is unlabelled
    loss = segments.segment_loss(tokens, shares, torch.tensor(3.), torch.tensor(-1.5))
    assert loss.item() == pytest.approx(slow_loss(tokens[0], shares[0], 3., -1.5), rel=1e-5)
    tokens = tokens.double().requires_grad_()
    fields = [shares.double(), torch.tensor(3., dtype=torch.double), torch.tensor(-1.5, dtype=torch.double)]
    assert torch.autograd.gradcheck(lambda z: segments.segment_loss(z, *fields), tokens)


def test_padding_counts_for_nothing(segments):
    tokens = torch.randn(1, 5, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    shares = torch.cat([one_hot(0, 0, 1), torch.zeros(1, 2, 2)], dim=1)
    scale, bias = torch.tensor(10.), torch.tensor(-5.)
    loss = segments.segment_loss(tokens, shares, scale, bias)
    assert loss.item() == pytest.approx(segments.segment_loss(tokens[:, :3], shares[:, :3], scale, bias).item())
    assert not torch.autograd.grad(loss, tokens)[0][:, 3:].any()


def test_loss_is_float32_under_autocast(segments):
    with torch.autocast('cpu', torch.bfloat16):
        tokens = torch.ones(1, 2, 2, dtype=torch.bfloat16)
        assert segments.segment_loss(tokens, one_hot(0, 1), torch.tensor(1.), torch.tensor(0.)).dtype == torch.float


def test_shares_of_a_padded_image(segments):
    masks = torch.zeros(2, 8, 16, dtype=torch.uint8)
    masks[0, :, :6] = 1
    masks[1, :, 6:] = 1
    shares = segments.segment_shares(masks, (8, 16), (16, 16), 8)
    assert torch.equal(shares, torch.tensor([[0.75, 0, 0, 0], [0.25, 1, 0, 0]]))
    smaller = segments.segment_shares(masks, (4, 8), (8, 8), 4)
    assert torch.equal(smaller, shares)


@pytest.mark.parametrize('arguments, expected', [
    ([], ('shapes_vfm.py', 'work_dirs/shapes_vfm')),
    (['projects/shapes_vfm/creatures_vfm.py'], ('creatures_vfm.py', 'work_dirs/creatures_vfm')),
    (['projects/shapes_vfm/creatures_vfm.py', '--work-dir', 'w'], ('creatures_vfm.py', 'w'))])
def test_each_world_trains_in_a_folder_of_its_own(monkeypatch, segments, arguments, expected):
    """A training goes on from what lies in its folder, which must not be the other world's."""
    monkeypatch.setitem(sys.modules, 'segments', segments)
    script, found = load_script('train'), []
    monkeypatch.setattr(script, 'load_runner_config', lambda config, _, work_dir: found.append((config, work_dir)))
    monkeypatch.setattr(script, 'train', lambda config, resume: None)
    monkeypatch.setattr(sys, 'argv', ['train.py', *arguments])
    script.main()
    (config, work_dir), = found
    assert (Path(config).name, work_dir) == expected


@pytest.mark.parametrize('world, reader, users', [
    ('shapes', 'teacher.py', USERS),
    ('creatures', 'creatures_teacher.py',
     ('configs/creatures/declip_qq_creatures.py', 'configs/creatures/denserc_creatures.py'))])
def test_the_recipe_is_of_the_file_that_the_methods_read(world, reader, users):
    recipe = Config.fromfile(PROJECT / f'{world}_vfm.py').model
    teachers = [Config.fromfile(PROJECT / reader).model, *(Config.fromfile(leaf).model.vfm for leaf in users)]
    assert all(teacher.arch == recipe.arch for teacher in teachers)
    assert {teacher.init_cfg.checkpoint for teacher in teachers[1:]} == {f'projects/shapes_vfm/{world}_vfm.pt'}
    pixels = recipe.data_preprocessor
    assert statistics(recipe.arch) == (pixels.mean, pixels.std)


@pytest.mark.parametrize('checkpoint', [CHECKPOINT, PROJECT / 'creatures_vfm.pt'], ids=lambda path: path.stem)
def test_the_committed_file_is_small_and_the_one_of_the_card(checkpoint):
    content = checkpoint.read_bytes()
    card = (PROJECT / 'README.md').read_text()
    weights = read_checkpoint(checkpoint)
    assert len(content) <= 4 * 2 ** 20
    assert hashlib.sha256(content).hexdigest() in card
    assert {value.dtype for value in weights['state_dict'].values()} == {torch.half}
    assert f"{sum(value.numel() for value in weights['state_dict'].values()):,} parameters" in card


@torch.no_grad()
def test_the_teacher_gives_timms_own_tokens(segments):
    """Weights, normalisation and grid: the student's CLIP-normalised image gives what the ViT gives of its own."""
    config = Config.fromfile(USERS[0]).model
    teacher = VFMTeacher(**{key: value for key, value in config.vfm.items() if key != 'type'})
    teacher.init_weights()
    recipe = Config.fromfile(PROJECT / 'shapes_vfm.py').model
    trainer = segments.SegmentTrainer(recipe.arch, recipe.data_preprocessor).eval()
    trainer.vit.load_state_dict(read_checkpoint(CHECKPOINT)['state_dict'])
    image = torch.randint(256, (3, 128, 128), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    own = trainer.data_preprocessor._normalise(image[None].float())
    students = MODELS.build({**config.data_preprocessor})._normalise(image[None].float())
    expected = trainer(own, [], None, [], [])
    found = teacher(students, (16, 16), 8)
    assert found.shape == (1, 128, 16, 16)
    assert torch.allclose(found.flatten(2).transpose(1, 2), expected, atol=1e-3)


@pytest.mark.slow
def test_its_tokens_know_segments_better_than_the_clips():
    paths = ['configs/shapes/region_classification.py', str(PROJECT / 'teacher.py')]
    features = load_several(paths, ['projects/shapes_clip/shapes_clip.pt', str(CHECKPOINT)])
    figures = measure_segments(load_config(paths[0]), features, images=6)
    assert figures['shapes_vfm'] > 0.85 > figures['shapes_clip'] > figures['position']


@pytest.mark.slow
def test_the_recipe_trains_and_what_it_saves_is_exported_and_read(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(PROJECT)
    MODELS.module_dict.pop('SegmentTrainer', None)  # the scripts register it themselves
    work_dir = tmp_path / 'run'
    options = ['train_dataloader.batch_size=12', 'train_cfg.max_epochs=1', 'visualizer=None',
               'default_hooks.checkpoint.interval=2', 'model.arch.depth=1']
    monkeypatch.setattr(sys, 'argv', ['train.py', '--work-dir', str(work_dir), '--cfg-options', *options])
    load_script('train').main()
    monkeypatch.setattr(sys, 'argv', ['export.py', '--work-dir', str(work_dir), '--out', str(tmp_path / 'vfm.pt')])
    load_script('export').main()
    content = read_checkpoint(tmp_path / 'vfm.pt')
    assert content['meta'].keys() == {'scale', 'bias'} and 0 < content['meta']['scale'] < 100
    arch = {**Config.fromfile(PROJECT / 'teacher.py').model.arch, 'depth': 1}
    teacher = VFMTeacher(arch, init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'vfm.pt')))
    teacher.init_weights()
    trained = read_checkpoint((work_dir / 'last_checkpoint').read_text())['state_dict']
    assert torch.equal(teacher.network.vit.pos_embed, trained['vit.pos_embed'].half().float())


def test_export_without_a_run_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, 'argv', ['export.py', '--work-dir', str(tmp_path)])
    with pytest.raises(SystemExit, match='found no last_checkpoint, expected what train.py writes'):
        load_script('export').main()
