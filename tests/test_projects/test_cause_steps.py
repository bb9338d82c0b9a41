"""Unsupervised segmentation: the three steps on a tiny tower, and on two processes."""
import socket
from pathlib import Path

import pytest
import torch
from mmengine.logging import MessageHub
from torch import distributed, multiprocessing
from torch.nn.parallel import DistributedDataParallel

pytest.importorskip('mmcv.ops', reason="needs mmcv's operators")
pytest.importorskip('mmseg', reason='needs mmseg')

from .cause_toy import HEAD, batch, build, save_step, save_tower  # noqa: E402, I001
from rsc_mm.utils.checkpoint import CheckpointError  # noqa: E402

HEAD_FIELDS = dict(head=HEAD, projection_channels=8, cell=2, bank_size=3)
CLUSTERS = dict(head=HEAD, num_classes=3)


@pytest.fixture(scope='module')
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str, str]:
    """A tower, and what steps 1 and 2 leave on it, untrained."""
    folder = tmp_path_factory.mktemp('cause')
    tower = save_tower(folder)
    codebook = save_step(build('CodebookStep', tower), folder / 'codebook.pth')
    head = save_step(build('SegmentHeadStep', tower, codebook, **HEAD_FIELDS), folder / 'segment_head.pth')
    return tower, codebook, head


def train(step: torch.nn.Module, steps: int, rate: float = 1e-2) -> list[float]:
    optimizer = torch.optim.Adam([p for p in step.parameters() if p.requires_grad], rate)
    losses = []
    for i in range(steps):
        MessageHub.get_current_instance().update_info('iter', i)
        optimizer.zero_grad()
        loss = sum(step.loss(*batch()).values())
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


class TestSteps:

    def test_the_codebook_learns_and_the_tower_does_not(self, files):
        step = build('CodebookStep', files[0])
        before = {key: value.clone() for key, value in step.backbone.state_dict().items()}
        losses = train(step, 12)
        assert losses[-1] < losses[0]
        assert all(torch.equal(value, before[key]) for key, value in step.backbone.state_dict().items())
        assert {key.split('.')[0] for key in step.state_dict()} == {'codebook', 'tower_hash'}

    def test_the_head_learns_and_the_codebook_does_not(self, files):
        step = build('SegmentHeadStep', *files[:2], **HEAD_FIELDS)
        codes = step.codebook.weight.clone()
        losses = train(step, 30, 3e-3)
        assert sum(losses[-5:]) < sum(losses[5:10])  # the first have no bank
        assert torch.equal(codes, step.codebook.weight) and step.codebook.weight.grad is None
        assert not [name for name, p in step.named_parameters() if p.requires_grad and p.grad is None]
        assert all(p.grad is None for p in step.ema.parameters())

    def test_the_teacher_is_a_copy_and_then_the_average(self, files):
        step = build('SegmentHeadStep', *files[:2], momentum=0.75, **HEAD_FIELDS)
        student, teacher = (part.projection.weight for part in (step.student, step.ema.module))
        assert student.data_ptr() != teacher.data_ptr()
        values = [student.detach().clone()]
        step.loss(*batch())
        assert torch.equal(teacher, values[0])
        expected = values[0]
        for _ in range(2):
            student.data += 1
            step.loss(*batch())
            expected = 0.75 * expected + 0.25 * student.data
            assert torch.allclose(teacher, expected)

    def test_no_positives_are_no_nan(self, files):
        step = build('SegmentHeadStep', *files[:2], **HEAD_FIELDS)
        # No concept is like any, itself included.
        step.codebook.forward = lambda vectors: torch.zeros(*vectors.shape[:-1], 5)
        loss = step.loss(*batch())['loss_contrast']
        loss.backward()
        assert loss.item() == 0
        assert all(p.grad is not None and not p.grad.any() for p in step.student.parameters())

    def test_clusters_and_probe_learn_and_share_nothing(self, files):
        step, other = (build('ClusterStep', files[0], files[2], **CLUSTERS) for _ in range(2))
        head = {key: value.clone() for key, value in step.head.state_dict().items()}
        losses = train(step, 8)
        assert losses[-1] < losses[0]
        assert all(torch.equal(value, head[key]) for key, value in step.head.state_dict().items())
        optimizer = torch.optim.Adam([p for p in other.parameters() if p.requires_grad], 1e-2)
        for _ in range(8):  # with other labels
            images, samples = batch()
            for sample in samples:
                sample.gt_sem_seg.data.fill_(255)
            optimizer.zero_grad()
            sum(other.loss(images, samples).values()).backward()
            assert not other.linear.weight.grad.any()
            optimizer.step()
        assert torch.equal(step.clusters.weight, other.clusters.weight)
        assert not torch.equal(step.linear.weight, other.linear.weight)

    def test_step_three_starts_from_the_averaged_head(self, files):
        second = build('SegmentHeadStep', *files[:2], **HEAD_FIELDS)
        train(second, 3)
        assert not torch.equal(second.ema.module.head.position, second.student.head.position)
        third = build('ClusterStep', files[0], **CLUSTERS)
        third.start = 'the head'
        third.load_start(second.exported())
        assert torch.equal(third.head.position, second.ema.module.head.position)
        assert torch.equal(third.codebook.weight, second.codebook.weight)

    @torch.no_grad()
    def test_prediction(self, files):
        step = build('ClusterStep', files[0], files[2], **CLUSTERS).eval()
        images, samples = batch(2)
        found = step.predict(images, samples)
        maps = [sample.pred_sem_seg.data for sample in found]
        assert all(labels.shape == (1, 64, 64) and 0 <= labels.min() <= labels.max() < 3 for labels in maps)
        assert all('pred_linear' in sample and 'pred_crf' not in sample for sample in found)
        scores = step.encode_decode(images)
        assert torch.equal(scores.argmax(1)[:, None], torch.stack(maps)) and scores.abs().max() <= 1 + 1e-5
        mirrored = step.predict(images.flip(3), batch(2)[1])  # image and mirror image are averaged
        assert all(torch.equal(a, b.pred_sem_seg.data.flip(2)) for a, b in zip(maps, mirrored))

    @torch.no_grad()
    def test_the_crf_sees_scores_and_colours(self, files, monkeypatch):
        step = build('ClusterStep', files[0], files[2], **CLUSTERS).eval()
        step.crf = lambda scores, image: (seen.append((scores, image)), scores.argmin(0))[1]
        seen, data = [], batch(1)
        raw = torch.randint(256, (3, 64, 64), dtype=torch.uint8)
        inputs = step.data_preprocessor(dict(inputs=[raw], data_samples=data[1]))['inputs']
        sample = step.predict(inputs, data[1])[0]
        assert torch.equal(seen[0][1], raw.flip(0))  # BGR files, RGB for tower and CRF
        assert torch.allclose(seen[0][0].exp().sum(0), torch.ones(64, 64), atol=1e-5)
        assert torch.equal(sample.pred_crf.data[0], seen[0][0].argmin(0))


class TestRefusals:

    def test_another_tower(self, files, tmp_path):
        other = save_tower(tmp_path, seed=1)
        with pytest.raises(CheckpointError, match=r'start .*codebook\.pth: belongs to another tower .*--checkpoint'):
            build('SegmentHeadStep', other, files[1], **HEAD_FIELDS)
        step = build('ClusterStep', files[0], files[2], **CLUSTERS)
        with pytest.raises(CheckpointError, match='the checkpoint of this step: belongs to another tower'):
            build('ClusterStep', other, **CLUSTERS).load_state_dict(step.state_dict())
        again = build('ClusterStep', files[0], **CLUSTERS)
        again.load_state_dict(step.state_dict())
        assert torch.equal(again.clusters.weight, step.clusters.weight)

    def test_a_file_of_something_else(self, files, tmp_path):
        with pytest.raises(CheckpointError, match=r"tower_0\.pth: found no 'tower_hash', expected what a step of"):
            build('SegmentHeadStep', files[0], files[0], **HEAD_FIELDS)
        with pytest.raises(CheckpointError, match=r"does not fit the part 'head': missing keys cross_attention"):
            build('ClusterStep', files[0], files[1], **CLUSTERS)
        with pytest.raises(FileNotFoundError, match='nothing.pth'):
            build('ClusterStep', files[0], str(tmp_path / 'nothing.pth'), **CLUSTERS)

    def test_other_fields(self, files):
        with pytest.raises(CheckpointError, match=r"fit the part 'head': other shapes: .*fields of 'model'"):
            build('ClusterStep', files[0], files[2], head={**HEAD, 'out_channels': 7}, num_classes=3)

    def test_only_the_last_step_predicts(self, files):
        with pytest.raises(NotImplementedError, match='CodebookStep predicts nothing: ClusterStep'):
            build('CodebookStep', files[0]).predict(*batch(1))


STEPS = {'CodebookStep': (0, {}), 'SegmentHeadStep': (1, HEAD_FIELDS), 'ClusterStep': (2, CLUSTERS)}


def gradients(name: str, files: tuple, images: slice, wrap: callable = lambda step: step) -> dict[str, torch.Tensor]:
    """Gradients of the second of two losses, so that the bank holds something."""
    start, fields = STEPS[name]
    step = build(name, files[0], files[start] if start else None, **fields)
    wrapped = wrap(step)
    for i in range(2):
        MessageHub.get_current_instance().update_info('iter', i)
        data, samples = batch(seed=i)
        if name == 'ClusterStep' and i:
            samples[3].gt_sem_seg.data.fill_(255)  # processes have different numbers of annotated pixels
        step.zero_grad()
        sum(wrapped(data[images], samples[images], mode='loss').values()).backward()
    found = {key: p.grad for key, p in step.named_parameters() if p.grad is not None}
    return found | {f'buffer {key}': value for key, value in step.named_buffers() if 'bank' in key}


def gradients_of_rank(rank: int, port: int, files: tuple, folder: str) -> None:
    distributed.init_process_group('gloo', f'tcp://127.0.0.1:{port}', world_size=2, rank=rank)
    mine = slice(0, 2) if rank == 0 else slice(2, 4)
    found = {name: gradients(name, files, mine, DistributedDataParallel) for name in STEPS}
    torch.save(found, Path(folder, f'{rank}.pt'))
    distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_give_the_gradient_of_the_joint_batch(files, tmp_path):
    with socket.socket() as server:
        server.bind(('127.0.0.1', 0))
        port = server.getsockname()[1]
    multiprocessing.spawn(gradients_of_rank, (port, files, str(tmp_path)), nprocs=2)
    ranks = [torch.load(tmp_path / f'{rank}.pt') for rank in range(2)]
    for name in STEPS:
        joint = gradients(name, files, slice(0, 4))
        assert joint.keys() == ranks[0][name].keys()
        largest = max(value.abs().max().item() for key, value in joint.items() if 'buffer' not in key)
        assert largest > 1e-4
        for key, value in joint.items():
            for found in ranks:
                assert torch.allclose(value, found[name][key], rtol=1e-4, atol=1e-5 * max(largest, 1.)), (name, key)
