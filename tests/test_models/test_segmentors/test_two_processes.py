"""CAT-Seg on two processes (gloo)."""
import socket
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import distributed, multiprocessing
from torch.nn.parallel import DistributedDataParallel

pytest.importorskip('mmcv._ext', reason="needs mmcv's operators")
pytest.importorskip('mmseg', reason='needs mmseg')
from .tiny import batch, tiny_catseg  # noqa: E402

IMAGES = 3  # one for the first process, two for the second


def gradients(ignore: str, images: slice, wrap: callable = lambda model: model) -> dict[str, torch.Tensor]:
    model = tiny_catseg().train()
    model.decode_head.loss_decode.ignore = ignore
    data = batch(model, [(64, 64)] * IMAGES, training=True)
    data['data_samples'][0].gt_sem_seg.data[:, :40] = 255  # other numbers of pixels on the two processes
    wrapped = wrap(model)  # DDP's hooks live as long as it does
    sum(wrapped(data['inputs'][images], data['data_samples'][images], mode='loss').values()).backward()
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def gradients_of_rank(rank: int, port: int, folder: str) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group('gloo', f'tcp://127.0.0.1:{port}', world_size=2, rank=rank)
    images = slice(1) if rank == 0 else slice(1, None)
    wrap = partial(DistributedDataParallel, find_unused_parameters=True)  # as the configs say
    found = {ignore: gradients(ignore, images, wrap) for ignore in ('negative', 'mask')}
    if rank == 0:
        torch.save(found, Path(folder, 'averaged.pt'))
    distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_give_the_gradient_of_the_joint_batch(tmp_path):
    with socket.socket() as server:
        server.bind(('127.0.0.1', 0))
        port = server.getsockname()[1]
    multiprocessing.spawn(gradients_of_rank, (port, str(tmp_path)), nprocs=2)
    averaged = torch.load(tmp_path / 'averaged.pt')
    for ignore, found in averaged.items():
        joint = gradients(ignore, slice(None))
        largest = max(value.abs().max().item() for value in joint.values())
        assert largest > 1e-3 and joint.keys() <= found.keys()
        for name, value in found.items():  # DDP gives zeros to what is not used
            expected = joint.get(name, torch.zeros_like(value))
            assert torch.allclose(value, expected, rtol=1e-4, atol=1e-6 * largest), (ignore, name)
