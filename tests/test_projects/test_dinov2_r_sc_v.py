"""R-SC-V on DINOv2: the configurations of projects/dinov2_r_sc_v at a tiny size."""
import pytest
import torch
from mmengine.config import Config

from rsc_mm.registry import MODELS
from rsc_mm.utils.refiner_checkpoint import tower_identity
from tests.test_tools.common import REPOSITORY
from tests.towers import randomize

PROJECT = REPOSITORY / 'projects' / 'dinov2_r_sc_v'
STAGES = ('refiner_dinov2_vitb14', 'r_sc_v_dinov2_vitb14')
ARCH = dict(img_size=56, patch_size=14, embed_dim=48, depth=4, num_heads=3, init_values=0.5)


def config_of(stage: str, tower: str, refiner: str | None = None) -> dict:
    """The model of a stage with a tower of width 48, depth 4 and native size 56 px."""
    config = Config.fromfile(PROJECT / f'{stage}.py')
    config.merge_from_dict({
        'model.data_preprocessor.image_size': 112, 'model.refiner.num_blocks': 2, 'model.refiner.inter_layers': (1, 2),
        'model.refiner.hidden_dims': 16, 'model.backbone.init_cfg.checkpoint': tower,
        **({} if refiner is None else {'model.refiner.init_cfg.checkpoint': refiner})})
    config.model.backbone.arch = ARCH
    return config.model.to_dict()


def batch(crops: bool) -> dict:
    generator = torch.Generator().manual_seed(0)
    boxes = [torch.tensor([[0., 0., 56., 56.], [20., 10., 76., 66.]]), torch.tensor([[14., 28., 70., 84.]])]
    return dict(images=torch.randn(2, 3, 84, 112, generator=generator), boxes=boxes, data_samples=[],
                crops=torch.randn(3, 3, 56, 56, generator=generator) if crops else None)


def losses_of(model: torch.nn.Module, data: dict) -> list[float]:
    """The loss before and after ten steps."""
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3)
    found = []
    for _ in range(11):
        loss = sum(model(**data, mode='loss').values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    return [found[0], found[-1]]


def test_both_stages_train(tmp_path):
    """Stage 1 lowers its loss; stage 2 reads its Refiner, and moves the student towards it without text or crops."""
    tower, refiner = str(tmp_path / 'dinov2.pth'), str(tmp_path / 'refiner.pth')
    config = config_of(STAGES[0], tower)
    torch.save(randomize(MODELS.build(config['backbone']), 0).vit.state_dict(), tower)  # timm's format
    first = MODELS.build(config)
    first.init_weights()
    before, after = losses_of(first.train(), batch(crops=True))
    assert after < before
    torch.save({'state_dict': first.state_dict(), 'meta': tower_identity(first.backbone)}, refiner)

    second = MODELS.build(config_of(STAGES[1], tower, refiner))
    second.init_weights()
    frozen = {key: value.clone() for key, value in second.teacher.state_dict().items()}
    before, after = losses_of(second.train(), batch(crops=False))
    assert after < before
    assert all(torch.equal(value, frozen[key]) for key, value in second.teacher.state_dict().items())
    assert {key.split('.')[0] for key in second.state_dict()} == {'backbone'}


@pytest.mark.parametrize('stage', STAGES)
def test_the_true_size_builds(stage):
    model = Config.fromfile(PROJECT / f'{stage}.py').model.to_dict()
    with torch.device('meta'):
        built = MODELS.build(model)
    assert built.backbone.embed_dim == 768 and built.data_preprocessor.image_size // built.backbone.patch_size == 64


def test_stage_two_reads_what_stage_one_writes():
    first, second = (Config.fromfile(PROJECT / f'{stage}.py').model.to_dict() for stage in STAGES)
    init_cfg = second['refiner'].pop('init_cfg')
    assert first['refiner'] == second['refiner'] and first['backbone'] == second['backbone']
    assert init_cfg['checkpoint'] == f'work_dirs/{STAGES[0]}/refiner.pth'
    assert (REPOSITORY / init_cfg['command'].split()[2]).is_file()
