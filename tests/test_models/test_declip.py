import copy
import socket
from pathlib import Path

import pytest
import torch
from torch import distributed, multiprocessing
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

from rsc_mm.models import DeCLIP, DenseRC, VFMTeacher
from rsc_mm.utils.regions import pool_regions
from tests.test_models.test_context_correlation import slow_loss
from tests.test_models.test_distillers import batch
from tests.towers import GOLDEN_ARCH, randomize

VFM = dict(type='VFMTeacher', arch=dict(type='EVACLIPViT', arch=dict(GOLDEN_ARCH, img_size=56, patch_size=14, depth=2)))
METHODS = {
    'DeCLIP qq': (DeCLIP, 'qq', {}),
    'DeCLIP csa': (DeCLIP, dict(type='csa', scaled=True), dict(unit_tokens=True)),
    'DeCLIP value': (DeCLIP, 'value', {}),
    'DenseRC': (DenseRC, 'hsg', {}),
    'DenseRC once': (DenseRC, dict(type='hsg', project='once'), {}),
    'DenseRC qq': (DenseRC, 'qq', {}),
}
EACH = pytest.mark.parametrize('name', METHODS)


def build(name: str) -> DeCLIP:
    """A student that has moved away from its random teacher."""
    cls, readout, fields = METHODS[name]
    model = cls(dict(type='EVACLIPViT', arch=GOLDEN_ARCH, readout=readout), VFM, **fields)
    randomize(model.backbone, 0)
    randomize(model.vfm.network, 1)
    model.init_weights()
    torch.manual_seed(2)
    for parameter in model.backbone.parameters():
        if parameter.requires_grad:
            parameter.data += 0.02 * torch.randn(parameter.shape)
    return model.train()


@torch.no_grad()
@EACH
def test_it_is_the_formula(name):
    """Also with a batch of two images, and a VFM of another patch size."""
    model, data = build(name), batch()
    losses = model(**data, mode='loss')
    content, context = model.backbone.encode_content_and_context(data['images'])
    context = content if isinstance(model, DenseRC) else context
    pooled = F.normalize(content, dim=1) if model.unit_tokens else content
    regions = pool_regions(pooled, data['boxes'], 16)
    crops = model.teacher.encode_image(data['crops'])
    align = sum(1 - F.cosine_similarity(r, c, dim=0) for r, c in zip(regions, crops)) / 5
    weight = 0.025 if isinstance(model, DenseRC) else 0.25
    target = model.vfm(data['images'], (3, 4), 16)
    assert losses.keys() == {'loss_align', 'loss_context'}
    assert losses['loss_align'].item() == pytest.approx(align.item(), abs=1e-5)
    assert losses['loss_context'].item() == pytest.approx(weight * slow_loss(context, target, 'row_norm'), abs=1e-5)


@EACH
def test_a_step_lowers_the_loss_and_leaves_the_frozen_parts_alone(name):
    model, data = build(name), batch()
    frozen = [model.teacher, model.vfm]
    before = [copy.deepcopy(part.state_dict()) for part in frozen]
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.003)
    values = []
    for _ in range(3):
        loss = sum(model(**data, mode='loss').values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        values.append(loss.item())
    assert values[0] > values[1] > values[2]
    for part, state in zip(frozen, before):
        assert all(p.grad is None and not p.requires_grad for p in part.parameters())
        assert all(torch.equal(value, state[key]) for key, value in part.state_dict().items())
        assert not any(module.training for module in model.train() and part.modules())


@EACH
def test_no_trainable_parameter_is_unused(name):
    model = build(name)
    sum(model(**batch(), mode='loss').values()).backward()
    for key, p in model.named_parameters():
        assert (p.grad is not None) == p.requires_grad, key
    assert ('backbone.readout.gate.weight' in dict(model.named_parameters())) == ('hsg' in str(METHODS[name][1]))


@EACH
@pytest.mark.parametrize('counts', [(0, 0), ()], ids=['no region', 'no image'])
def test_no_region_and_no_image_keep_the_graph(name, counts):
    model, data = build(name), batch(counts=(0, 0))
    data.update(images=data['images'][:len(counts)], boxes=data['boxes'][:len(counts)], data_samples=[])
    losses = model(**data, mode='loss')
    sum(losses.values()).backward()
    assert losses['loss_align'] == 0 and (losses['loss_context'] > 0) == bool(counts)
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters() if p.requires_grad)


def test_the_checkpoint_holds_neither_teacher_nor_vfm():
    model = build('DenseRC')
    state = model.state_dict()
    assert {key.split('.')[0] for key in state} == {'backbone'} and 'backbone.readout.gate.weight' in state
    other = build('DenseRC')
    other.load_state_dict({key: value + 1 for key, value in state.items()})
    assert torch.equal(other.backbone.readout.gate.weight, model.backbone.readout.gate.weight + 1)


@torch.no_grad()
@pytest.mark.parametrize('name', ['DeCLIP qq', 'DeCLIP csa'])
def test_prediction_pools_what_training_pools(name):
    model, data = build(name).eval(), batch()
    samples = model(**data, mode='predict')
    content = model.backbone.encode_dense(data['images'], normalize=name == 'DeCLIP csa')
    expected = F.normalize(pool_regions(content, data['boxes'], 16), dim=1)
    assert torch.allclose(torch.cat([s.box_features for s in samples]), expected, atol=1e-5)


def test_a_seeded_run_repeats_exactly():
    runs = []
    for _ in range(2):
        model = build('DeCLIP csa')
        sum(model(**batch(), mode='loss').values()).backward()
        runs.append([p.grad for p in model.parameters() if p.grad is not None])
    assert all(torch.equal(first, second) for first, second in zip(*runs, strict=True))


def gradients(name: str, data: dict, wrap: callable = lambda model: model) -> dict[str, torch.Tensor]:
    model = build(name)
    wrapped = wrap(model)
    sum(wrapped(**data, mode='loss').values()).backward()
    return {key: p.grad for key, p in model.named_parameters() if p.grad is not None}


def gradients_of_rank(rank: int, port: int, folder: str) -> None:
    distributed.init_process_group('gloo', f'tcp://127.0.0.1:{port}', world_size=2, rank=rank)
    data = batch(counts=(4, 1, 0, 2))
    images, rows = (slice(0, 1), slice(0, 4)) if rank == 0 else (slice(1, 4), slice(4, 7))
    part = {**{key: data[key][images] for key in ('images', 'boxes', 'data_samples')}, 'crops': data['crops'][rows]}
    averaged = {name: gradients(name, part, DistributedDataParallel) for name in ('DeCLIP csa', 'DenseRC')}
    if rank == 0:
        torch.save(averaged, Path(folder, 'gradients.pt'))
    distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_give_the_gradient_of_the_joint_batch(tmp_path):
    """With unequal numbers of images and regions."""
    with socket.socket() as server:
        server.bind(('127.0.0.1', 0))
        port = server.getsockname()[1]
    multiprocessing.spawn(gradients_of_rank, (port, str(tmp_path)), nprocs=2)
    for name, averaged in torch.load(tmp_path / 'gradients.pt').items():
        joint = gradients(name, batch(counts=(4, 1, 0, 2)))
        largest = max(value.abs().max().item() for value in joint.values())
        assert joint.keys() == averaged.keys()
        for key, value in joint.items():
            limit = 1e-5 * value.abs().max().item() + 1e-6 * largest
            assert torch.allclose(value, averaged[key], atol=limit), key


def test_the_vfm_loads_its_own_weights(tmp_path):
    teacher = VFMTeacher(VFM['arch'])
    randomize(teacher.network, 5)
    torch.save({f'vit.{key}': value for key, value in teacher.network.vit.state_dict().items()}, tmp_path / 'vfm.pth')
    init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'vfm.pth'))
    model = DenseRC(dict(type='EVACLIPViT', arch=GOLDEN_ARCH, readout='hsg'),
                    dict(type='VFMTeacher', arch={**VFM['arch'], 'init_cfg': init_cfg}))
    model.init_weights()
    assert torch.equal(model.vfm.network.vit.norm.weight, teacher.network.vit.norm.weight)
