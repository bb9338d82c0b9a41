import copy
import socket

import pytest
import torch
from torch import distributed, multiprocessing
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

from rsc_mm.datasets import RegionSample
from rsc_mm.models import CLIPSelf, EVACLIPViT, RegionText, ensemble
from rsc_mm.utils.checkpoint import export_state_dict
from rsc_mm.utils.regions import pool_regions
from tests.towers import GOLDEN_ARCH, randomize

BACKBONE = dict(type='EVACLIPViT', arch=GOLDEN_ARCH)


def clipself() -> CLIPSelf:
    model = CLIPSelf(BACKBONE)
    randomize(model.backbone, 0)
    model.init_weights()
    return model.train()


def region_text() -> RegionText:
    nouns = F.normalize(torch.randn(12, 24, generator=torch.Generator().manual_seed(5)), dim=1)
    model = RegionText(BACKBONE, nouns, text_loss=dict(type='RegionTextLoss', num_classes=6, logit_scale=10.))
    randomize(model.backbone, 0)
    model.init_weights()
    return model.train()


def batch(counts=(3, 2), seed=0) -> dict:
    """Random images with that many random regions each."""
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(sum(counts), 4, generator=generator) * 40
    boxes = torch.cat([corners[:, :2], corners[:, :2] + 8 + corners[:, 2:]], dim=1).split(counts)
    labels = torch.randint(12, (sum(counts), ), generator=generator).split(counts)
    return dict(images=torch.randn(len(counts), 3, 48, 64, generator=generator), boxes=list(boxes),
                crops=torch.randn(sum(counts), 3, 64, 64, generator=generator),
                data_samples=[RegionSample(labels=rows) for rows in labels])


MODELS = [clipself, region_text]


def test_clipself_is_the_formula():
    model, data = clipself(), batch()
    dense = model.backbone.encode_dense(data['images'])
    regions = pool_regions(dense, data['boxes'], 16)
    crops = model.teacher.encode_image(data['crops'])
    slow = sum(1 - F.cosine_similarity(r, c, dim=0) for r, c in zip(regions, crops)) / 5
    assert model(**data, mode='loss')['loss_align'].item() == pytest.approx(slow.item(), abs=1e-6)


@pytest.mark.parametrize('build', MODELS)
def test_a_step_lowers_the_loss_and_leaves_the_teacher_alone(build):
    model, data = build(), batch()
    before = copy.deepcopy(model.teacher.state_dict())
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.01)
    values = []
    for _ in range(3):
        loss, = model(**data, mode='loss').values()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        values.append(loss.item())
    assert values[0] > values[1] > values[2]
    assert all(p.grad is None and not p.requires_grad for p in model.teacher.parameters())
    assert all(torch.equal(value, before[key]) for key, value in model.teacher.state_dict().items())
    assert not model.train().teacher.training and model.backbone.training


@pytest.mark.parametrize('build', MODELS)
def test_no_trainable_parameter_is_unused(build):
    model = build()
    next(iter(model(**batch(), mode='loss').values())).backward()
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)


@pytest.mark.parametrize('build', MODELS)
@pytest.mark.parametrize('counts', [(0, 0), ()], ids=['no region', 'no image'])
def test_nothing_to_learn_from_gives_zero_gradients(build, counts):
    model = build()
    data = batch(counts=(0, 0))
    data.update(images=data['images'][:len(counts)], boxes=data['boxes'][:len(counts)],
                data_samples=data['data_samples'][:len(counts)])
    loss, = model(**data, mode='loss').values()
    loss.backward()
    assert loss == 0
    assert all(p.grad.abs().max() == 0 for p in model.parameters() if p.requires_grad)


def test_state_dict_holds_no_teacher_and_loads_strictly():
    model = clipself()
    state = model.state_dict()
    assert not any('teacher' in key for key in state)
    other = clipself()
    other.load_state_dict({key: value + 1 for key, value in state.items()})
    assert torch.equal(other.backbone.vit.head.weight, model.backbone.vit.head.weight + 1)
    assert torch.equal(other.teacher.vit.head.weight, model.teacher.vit.head.weight)


def test_ensemble():
    student, teacher = clipself().backbone, randomize(clipself().backbone, 3)
    mixed = ensemble(student, teacher, 0.7)
    for key, value in student.state_dict().items():
        assert torch.allclose(mixed[key], 0.7 * value + 0.3 * teacher.state_dict()[key], atol=1e-6)


def test_region_text_refuses_nouns_of_another_size():
    model = RegionText(BACKBONE, F.normalize(torch.randn(5, 7), dim=1))
    with pytest.raises(ValueError, match="'class_embeddings': found size 7, expected the tower's 24"):
        model.init_weights()


@torch.no_grad()
def test_predict_gives_unit_features_of_every_region():
    model, data = clipself(), batch()
    masks = [torch.ones(k, 3, 4, dtype=torch.bool) for k in (3, 2)]
    samples = model(**data, masks=masks, mode='predict')
    for name in ('box_features', 'mask_features', 'crop_features'):
        rows = torch.cat([sample.get(name) for sample in samples])
        assert rows.shape == (5, 24)
        assert torch.allclose(rows.norm(dim=1), torch.ones(5), atol=1e-5)
    expected = F.normalize(pool_regions(model.backbone.encode_dense(data['images']), data['boxes'], 16), dim=1)
    assert torch.allclose(torch.cat([sample.box_features for sample in samples]), expected, atol=1e-6)


def gradients_of_rank(rank: int, port: int, name: str, folder: str) -> None:
    distributed.init_process_group('gloo', f'tcp://127.0.0.1:{port}', world_size=2, rank=rank)
    model = {'clipself': clipself, 'region_text': region_text}[name]()
    data = batch(counts=(4, 1, 0, 2))
    mine = slice(0, 2) if rank == 0 else slice(2, 4)
    rows = slice(0, 5) if rank == 0 else slice(5, 7)
    part = dict(images=data['images'][mine], boxes=data['boxes'][mine], crops=data['crops'][rows],
                data_samples=data['data_samples'][mine])
    wrapped = DistributedDataParallel(model)
    next(iter(wrapped(**part, mode='loss').values())).backward()
    if rank == 0:
        torch.save({n: p.grad for n, p in model.named_parameters() if p.grad is not None}, f'{folder}/grad.pt')
    distributed.destroy_process_group()


@pytest.mark.parametrize('build', MODELS)
def test_two_processes_give_the_gradient_of_the_joint_batch(build, tmp_path):
    with socket.socket() as server:
        server.bind(('127.0.0.1', 0))
        port = server.getsockname()[1]
    multiprocessing.spawn(gradients_of_rank, (port, build.__name__, str(tmp_path)), nprocs=2)
    model = build()
    next(iter(model(**batch(counts=(4, 1, 0, 2)), mode='loss').values())).backward()
    averaged = torch.load(tmp_path / 'grad.pt')
    joint = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    assert joint.keys() == averaged.keys()
    for key, value in joint.items():
        assert torch.allclose(value, averaged[key], atol=1e-5 * value.abs().max().item() + 1e-8), key


TEACHER_ARCH = dict(GOLDEN_ARCH, img_size=56, patch_size=14, depth=2)  # another patch, size and depth; the same D


def with_teacher(arch: dict = TEACHER_ARCH, **fields: object) -> CLIPSelf:
    model = CLIPSelf(BACKBONE, teacher=dict(type='EVACLIPViT', arch=arch, **fields))
    randomize(model.backbone, 0)
    randomize(model.teacher, 1)
    model.init_weights()
    return model.train()


def test_a_teacher_of_another_patch_size():
    model, data = with_teacher(), batch()
    regions = pool_regions(model.backbone.encode_dense(data['images']), data['boxes'], 16)  # the student's patches
    crops = model.teacher.encode_image(data['crops'])
    slow = sum(1 - F.cosine_similarity(r, c, dim=0) for r, c in zip(regions, crops)) / 5
    loss = model(**data, mode='loss')['loss_align']
    assert loss.item() == pytest.approx(slow.item(), abs=1e-6)
    loss.backward()
    assert all(p.grad is None and not p.requires_grad for p in model.teacher.parameters())
    assert not any('teacher' in key for key in model.state_dict())
    assert not model.train().teacher.training


def test_an_explicit_teacher_loads_its_own_weights(tmp_path):
    teacher = randomize(EVACLIPViT(TEACHER_ARCH), 3)
    torch.save(export_state_dict(teacher, 'ours'), tmp_path / 'teacher.pth')
    model = with_teacher(init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'teacher.pth')))
    assert torch.equal(model.teacher.vit.head.weight, teacher.vit.head.weight)
    assert not torch.equal(model.backbone.vit.head.weight, teacher.vit.head.weight)


def test_a_teacher_of_another_embedding_space_is_refused():
    with pytest.raises(ValueError, match="field 'teacher': found embedding size 7, expected the student's 24"):
        with_teacher({**TEACHER_ARCH, 'num_classes': 7})


def test_no_ensemble_with_another_teacher():
    model = with_teacher()
    with pytest.raises(ValueError, match="'alpha': found 0.7 with a teacher of another shape than the student's"):
        ensemble(model.backbone, model.teacher, 0.7)
    assert ensemble(model.backbone, model.teacher, 1.).keys() == model.backbone.state_dict().keys()
