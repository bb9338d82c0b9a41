import random
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

from rsc_mm.engine.refiner_checkpoint_hook import trainer_of
from rsc_mm.utils.checkpoint import CheckpointError, read_checkpoint
from rsc_mm.utils.refiner_checkpoint import tower_identity
from tests.test_engine.test_training import STEPS, KillAt, Losses, configure, equal, train
from tests.test_tools.common import REPOSITORY

pytestmark = pytest.mark.slow  # trains, or starts whole programs

HOOKS = [dict(type='RefinerCheckpointHook')]
NO_VAL = {'val_dataloader': None, 'val_cfg': None, 'val_evaluator': None}
TOWER = 'projects/shapes_clip/shapes_clip.pt'


@pytest.fixture(scope='module', autouse=True)
def data(shapes_root):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('SHAPES_ROOT', str(shapes_root))
        patch.chdir(REPOSITORY)
        yield


def stage_1(work_dir: Path, **fields: object) -> Config:
    return configure(work_dir, 'refiner', **{'custom_hooks': HOOKS, 'model.refiner.hidden_dims': 64,
                                           'train_dataloader.dataset.regions.num_regions': 2, **fields})


def stage_2(work_dir: Path, refiner: Path | None, name: str = 'r_sc_clipself', **fields: object) -> Config:
    """Two steps on the Refiner that stage 1 wrote."""
    own = {} if refiner is None else {'model.refiner.init_cfg.checkpoint': str(refiner)}
    return configure(work_dir, name, **{'model.refiner.hidden_dims': 64, 'train_cfg.max_epochs': 1, **NO_VAL, **own,
                                        'train_dataloader.batch_size': 12, 'param_scheduler': None, **fields})


@pytest.fixture(scope='module')
def whole(tmp_path_factory, data) -> tuple[Runner, Losses, Path]:
    """One uninterrupted stage 1."""
    folder, losses = tmp_path_factory.mktemp('refiner'), Losses()
    return train(stage_1(folder), losses), losses, folder


@pytest.fixture(scope='module')
def other_tower(tmp_path_factory) -> str:
    """The tower with one weight changed by 1e-3."""
    content = read_checkpoint(REPOSITORY / TOWER)
    content['state_dict']['vit.cls_token'].view(-1)[0] += 1e-3
    path = tmp_path_factory.mktemp('tower') / 'other.pt'
    torch.save(content, path)
    return str(path)


def test_refiner_pth_holds_the_refiner_and_its_tower(whole):
    runner, losses, folder = whole
    content = torch.load(folder / 'refiner.pth', weights_only=True)
    model = trainer_of(runner)
    assert content.keys() == {'state_dict', 'meta'}
    assert content['meta'] == tower_identity(model.backbone)
    assert content['meta']['tower'] == 'EVACLIPViT of width 192, depth 6, patch 8, readout value'
    assert equal(content['state_dict'], {f'refiner.{key}': v for key, v in model.refiner.state_dict().items()})
    last = read_checkpoint(folder / f'iter_{STEPS}.pth')
    assert equal(last['state_dict'], content['state_dict'])
    assert all(last['meta'][key] == value for key, value in content['meta'].items())
    assert len(losses.values) == STEPS and sum(losses.values[-3:]) < sum(losses.values[:3])
    for scores in ('boxes', 'thing_masks', 'stuff_masks'):
        assert 0 <= runner.message_hub.get_scalar(f'val/{scores}_top1').current() <= 100


def test_the_tower_stays_as_it_was_and_the_refiner_moves(whole):
    model = trainer_of(whole[0])
    original = read_checkpoint(REPOSITORY / TOWER)['state_dict']
    assert equal({f'vit.{key}': value for key, value in model.backbone.vit.state_dict().items()},
                 {key: value for key, value in original.items() if key.startswith('vit.')})
    last = model.refiner.blocks[-1].mlp.fc2.weight - original['vit.blocks.5.mlp.fc2.weight']
    assert last.abs().max() > 1e-4 and model.refiner.fc_inter[-1].weight.any()


def test_killed_at_a_random_step_and_resumed(whole, tmp_path):
    step = random.SystemRandom().randrange(5, STEPS)
    with pytest.raises(KeyboardInterrupt):
        train(stage_1(tmp_path, **NO_VAL), KillAt(step))
    assert not (tmp_path / 'refiner.pth').exists()
    resumed = train(stage_1(tmp_path, resume=True, **NO_VAL))
    assert resumed.iter == STEPS
    contents = [torch.load(path / 'refiner.pth', weights_only=True) for path in (whole[2], tmp_path)]
    assert equal(contents[0]['state_dict'], contents[1]['state_dict']), f'killed at step {step}'
    assert contents[0]['meta'] == contents[1]['meta']


def test_evaluation_of_the_file_repeats_the_last_validation(whole, tmp_path):
    init_cfg = dict(type='Pretrained', checkpoint=str(whole[2] / 'refiner.pth'))
    runner = Runner.from_cfg(stage_1(tmp_path, **{'model.refiner.init_cfg': init_cfg, 'test_dataloader.batch_size': 3}))
    runner.model.init_weights()
    for name, value in runner.test().items():
        assert value == pytest.approx(whole[0].message_hub.get_scalar(f'val/{name}').current(), abs=1e-6)


def test_another_tower_is_refused(whole, tmp_path, other_tower):
    tower = {'model.backbone.init_cfg.checkpoint': other_tower}
    with pytest.raises(CheckpointError, match='refiner.pth: belongs to the tower EVACLIPViT of width 192.*found'):
        train(stage_2(tmp_path, whole[2] / 'refiner.pth', **tower))
    config = stage_1(whole[2], resume=True, **tower, **NO_VAL, **{'train_cfg.max_epochs': 3})
    with pytest.raises(CheckpointError, match='the checkpoint to load: belongs to the tower'):
        train(config)


def test_a_missing_refiner_names_the_command(tmp_path):
    with pytest.raises(FileNotFoundError, match='no such file; train the Refiner first: python tools/train.py '
                       'configs/shapes/refiner.py'):
        train(stage_2(tmp_path, tmp_path / 'nothing.pth'))


def test_the_hook_is_for_refiners_only(tmp_path):
    with pytest.raises(TypeError, match='RefinerCheckpointHook: found model CLIPSelf, expected a RefinerTrainer'):
        train(configure(tmp_path, custom_hooks=HOOKS, **NO_VAL))


@pytest.mark.parametrize('name', ['r_sc_clipself', 'r_sc_v'])
def test_stage_2_runs_on_the_refiner_and_saves_the_student_only(whole, tmp_path, name):
    losses = Losses()
    few = {'train_dataloader.dataset.regions.max_regions': 3}
    runner = train(stage_2(tmp_path, whole[2] / 'refiner.pth', name, **few), losses)
    content, model = read_checkpoint(tmp_path / 'iter_2.pth'), runner.model
    assert equal(model.refiner.state_dict(), trainer_of(whole[0]).refiner.state_dict())
    assert tower_identity(model.teacher) == tower_identity(trainer_of(whole[0]).backbone)
    assert tower_identity(model.backbone) != tower_identity(model.teacher)
    for part in ('state_dict', 'student_state_dict'):
        assert content[part] and all(key.startswith('backbone.') for key in content[part])
    assert len(losses.values) == 2 and all(0 < value < 10 for value in losses.values)


def test_end_to_end_saves_the_refiner_and_resumes(tmp_path):
    options = {'default_hooks.checkpoint.interval': 1, 'train_dataloader.dataset.regions.num_crops': 2,
               'train_dataloader.dataset.regions.regions.max_regions': 2}
    whole = train(stage_2(tmp_path / 'whole', None, 'r_sc_clipself_e2e', **options))
    with pytest.raises(KeyboardInterrupt):
        train(stage_2(tmp_path / 'killed', None, 'r_sc_clipself_e2e', **options), KillAt(1))
    resumed = train(stage_2(tmp_path / 'killed', None, 'r_sc_clipself_e2e', resume=True, **options))
    assert equal(whole.model.state_dict(), resumed.model.state_dict())
    content = read_checkpoint(tmp_path / 'whole' / 'iter_2.pth')['student_state_dict']
    assert {key.split('.')[0] for key in content} == {'backbone', 'refiner'}
