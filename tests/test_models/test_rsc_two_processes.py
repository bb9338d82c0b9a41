import socket
from pathlib import Path

import pytest
import torch
from torch import distributed, multiprocessing
from torch.nn.parallel import DistributedDataParallel

from rsc_mm.models import SCRLA
from tests.test_models.test_refiner_trainer import batch, trainer
from tests.test_models.test_scrla import BUILDS, SCD, build

pytestmark = pytest.mark.slow  # trains, or starts whole programs

COUNTS = (4, 1, 0, 2)  # the third image has no region
SPLITS = (2, 4)  # images of the first process; the second has the others, or none
MODELS = {
    **BUILDS,
    'global to local': trainer,
    'local to global': lambda: trainer('local_to_global'),
    'Frobenius': lambda: build(SCRLA, scd_loss={**SCD, 'distance': 'frobenius'}),
    'whole images': lambda: build(SCRLA, scd_loss={**SCD, 'scope': 'image'}),
}


def gradients(name: str, data: dict, wrap: callable = lambda model: model) -> dict[str, torch.Tensor]:
    model = MODELS[name]()
    wrapped = wrap(model)  # DDP's hooks live as long as it does
    sum(wrapped(**data, mode='loss').values()).backward()
    return {key: p.grad for key, p in model.named_parameters() if p.grad is not None}


def part(rank: int, images: int) -> dict:
    """The first images of the joint batch, or the rest."""
    data, regions = batch(COUNTS), sum(COUNTS[:images])
    mine, rows = (slice(images), slice(regions)) if rank == 0 else (slice(images, None), slice(regions, None))
    return {**{key: data[key][mine] for key in ('images', 'boxes', 'data_samples')}, 'crops': data['crops'][rows]}


def gradients_of_rank(rank: int, port: int, folder: str) -> None:
    distributed.init_process_group('gloo', f'tcp://127.0.0.1:{port}', world_size=2, rank=rank)
    for images in SPLITS:
        averaged = {name: gradients(name, part(rank, images), DistributedDataParallel) for name in MODELS}
        if rank == 0:
            torch.save(averaged, Path(folder, f'{images}.pt'))
    distributed.destroy_process_group()


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The averaged gradients of every method."""
    path = tmp_path_factory.mktemp('gradients')
    with socket.socket() as server:
        server.bind(('127.0.0.1', 0))
        port = server.getsockname()[1]
    multiprocessing.spawn(gradients_of_rank, (port, str(path)), nprocs=2)
    return path


@pytest.mark.parametrize('name', MODELS)
def test_two_processes_give_the_gradient_of_the_joint_batch(folder, name):
    joint = gradients(name, batch(COUNTS))
    largest = max(value.abs().max().item() for value in joint.values())
    assert largest > 1e-3
    for images in SPLITS:
        averaged = torch.load(folder / f'{images}.pt')[name]
        assert joint.keys() == averaged.keys()
        for key, value in joint.items():
            limit = 1e-5 * value.abs().max().item() + 1e-7 * largest
            assert torch.allclose(value, averaged[key], atol=limit), key
