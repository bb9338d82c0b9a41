"""OV-DQUO and panoptic segmentation on two processes (gloo)."""
import socket
from pathlib import Path
from unittest import mock

import pytest
import torch
from mmengine.registry import DefaultScope
from torch import distributed, multiprocessing
from torch.nn.parallel import DistributedDataParallel

from rsc_mm.models.detectors.ov_dquo_head import corners_in_pixels

from .tiny_ov_dquo import batch as detection_batch
from .tiny_ov_dquo import tiny_ov_dquo
from .tiny_panoptic import batch as panoptic_batch
from .tiny_panoptic import tiny_panoptic

IMAGES = 3  # one for the first process, two for the second, with other numbers of objects
LABELS = [[0, 3, 0, 3, 0, -1, -1], [0, 3, -1, -1], [3, 0, 3, -1]]


def same_draws(*shape: int, **_: object) -> torch.Tensor:
    """Random numbers that are the same for every image, mask and box, so that both ways draw the same."""
    shape = shape[0] if isinstance(shape[0], (tuple, torch.Size)) else shape
    return torch.empty(shape[1:]).uniform_(generator=torch.Generator().manual_seed(0)).expand(shape).clone()


FIXED = dict(rand=same_draws, rand_like=lambda x, **_: torch.full_like(x, 0.3),
             randint_like=lambda x, *_, dtype=None, **__: torch.ones_like(x, dtype=dtype))


def detector() -> tuple[torch.nn.Module, dict]:
    model = tiny_ov_dquo()
    model.dn_query_generator.label_noise_scale = 0  # its draws have a place for every box of the batch
    data = detection_batch(model, [(64, 90), (50, 96), (64, 64)], LABELS)
    samples = data['data_samples']
    with torch.no_grad():
        starts = model.eval().forward_transformer(model.extract_feat(data['inputs']), samples)['references'][0]
    for sample, boxes in zip(samples, starts):  # objects where proposals are, so that unknown ones are matched too
        objects = sample.gt_instances
        objects.bboxes = corners_in_pixels(boxes[:len(objects)], sample.img_shape).clamp(min=0)
    return model.train(), data


def segmentor() -> tuple[torch.nn.Module, dict]:
    model = tiny_panoptic().train()
    data = panoptic_batch(model, [(64, 96), (64, 80), (48, 96)], number=4)
    for sample, kept in zip(data['data_samples'], (1, 4, 2)):
        sample.gt_instances = sample.gt_instances[:kept]
    return model, data


def gradients(make: callable, images: slice, wrap: callable = lambda model: model) -> dict[str, torch.Tensor]:
    with DefaultScope.overwrite_default_scope('mmdet'):
        model, data = make()
        wrapped = wrap(model)  # DDP's hooks live as long as it does
        with mock.patch.multiple(torch, **FIXED):
            losses = wrapped(data['inputs'][images], data['data_samples'][images], mode='loss')
        model.parse_losses(losses)[0].backward()
    return {name: p.grad for name, p in model.named_parameters() if p.requires_grad}


def gradients_of_rank(rank: int, port: int, folder: str) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group('gloo', f'tcp://127.0.0.1:{port}', world_size=2, rank=rank)
    images = slice(1) if rank == 0 else slice(1, None)
    found = {make.__name__: gradients(make, images, DistributedDataParallel) for make in (detector, segmentor)}
    if rank == 0:
        torch.save(found, Path(folder, 'averaged.pt'))
    distributed.destroy_process_group()


@pytest.mark.slow
@pytest.mark.filterwarnings('ignore:torch.meshgrid:UserWarning')
def test_two_processes_give_the_gradient_of_the_joint_batch(tmp_path):
    """Divisors are averaged over processes: unequal numbers of objects weigh as in one batch.

    That holds where they do not reach their least value of 1, as with two matched unknown objects in all.
    """
    with socket.socket() as server:
        server.bind(('127.0.0.1', 0))
        port = server.getsockname()[1]
    multiprocessing.spawn(gradients_of_rank, (port, str(tmp_path)), nprocs=2)
    averaged = torch.load(tmp_path / 'averaged.pt')
    for make in (detector, segmentor):
        joint, found = gradients(make, slice(None)), averaged[make.__name__]
        largest = max(value.abs().max().item() for value in joint.values())
        assert largest > 1e-3 and joint.keys() == found.keys()
        for name, value in found.items():
            assert torch.allclose(value, joint[name], rtol=1e-3, atol=1e-5 * largest), (make.__name__, name)
