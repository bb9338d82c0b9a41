from pathlib import Path

import pytest
import torch
from mmengine.logging import MessageHub

from rsc_mm.datasets import RegionSample
from rsc_mm.models import SCRLA, CLIPSelf, RefinerTrainer
from tests.test_models.test_refiner_trainer import BACKBONE, REFINER
from tests.towers import randomize

SCD = dict(type='SCDLoss', loss_weight=0.5, region_size=3, chunk_size=2)
PIXELS = dict(type='RegionPreprocessor', image_size=64, crop_size=32, patch_size=16)
MODELS = {
    'CLIPSelf': lambda **fields: CLIPSelf(BACKBONE, **fields),
    'SC': lambda **fields: SCRLA(BACKBONE, scd_loss=SCD, **fields),
    'R-SC': lambda **fields: SCRLA(BACKBONE, scd_loss=SCD, refiner=REFINER, **fields),
    'R-SC-V': lambda **fields: SCRLA(BACKBONE, scd_loss=SCD, refiner=REFINER, rla=None, **fields),
}
EACH = pytest.mark.parametrize('name', MODELS)


def build(name: str, path: Path | None, **pixels: object) -> CLIPSelf:
    """A student that has moved away from its random teacher."""
    torch.manual_seed(2)
    targets = {'targets': dict(type='CachedTargets', path=str(path))} if path else {}
    model = MODELS[name](data_preprocessor={**PIXELS, **pixels}, **targets)
    randomize(model.backbone, 0)
    model.init_weights()
    if getattr(model, 'refiner', None) is not None:
        torch.nn.init.normal_(model.refiner.fc_inter[-1].weight, std=0.1)
    for parameter in model.backbone.parameters():
        if parameter.requires_grad:
            parameter.data += 0.02 * torch.randn(parameter.shape)
    return model.train()


def refiner_trainer(path: Path | None, **fields: object) -> RefinerTrainer:
    """Of a tower with the weights that `build` gives its student."""
    torch.manual_seed(2)
    targets = {'targets': dict(type='CachedTargets', path=str(path))} if path else {}
    model = RefinerTrainer(BACKBONE, REFINER, data_preprocessor=PIXELS, **targets, **fields)
    randomize(model.backbone, 0)
    model.init_weights()
    torch.nn.init.normal_(model.refiner.fc_inter[-1].weight, std=0.1)
    return model.train()


def data(counts: tuple[int, ...] = (3, 2), first: int = 0) -> dict[str, list]:
    """Images with random regions as `region_collate` gives them; image i has id i and always the same regions."""
    inputs, samples = [], []
    for i, count in enumerate(counts, first):
        generator = torch.Generator().manual_seed(i)
        inputs.append(torch.randint(256, (3, 48, 64), generator=generator, dtype=torch.uint8))
        corners = torch.rand(count, 4, generator=generator) * torch.tensor([40., 24, 20, 20])
        boxes = torch.cat([corners[:, :2], corners[:, :2] + 4 + corners[:, 2:]], dim=1)
        samples.append(RegionSample(boxes=boxes, crop_boxes=boxes, metainfo=dict(
            img_id=i, img_path=f'{i}.jpg', ori_shape=(48, 64))))
    return dict(inputs=inputs, data_samples=samples)


def losses(model: CLIPSelf, batch: dict, epoch: int = 0) -> dict[str, torch.Tensor]:
    MessageHub.get_current_instance().update_info('epoch', epoch)
    return model(**model.data_preprocessor(batch, True), mode='loss')


def hits() -> float:
    return MessageHub.get_current_instance().get_scalar('train/target_hits').current()


def assert_same(first: dict, second: dict, tolerance: float) -> None:
    assert first.keys() == second.keys()
    for key in first:
        torch.testing.assert_close(first[key], second[key], rtol=0, atol=tolerance)


def forbid(model: CLIPSelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """The frozen parts may not run any more."""
    def refuse(*args: object) -> None:
        raise AssertionError('the teacher ran')
    for part in (model.teacher, getattr(model, 'refiner', None)):
        for method in ('encode_image', 'intermediates', 'forward'):
            if hasattr(part, method):
                monkeypatch.setattr(part, method, refuse)


@EACH
def test_cached_losses_are_the_uncached_ones_to_half_precision(tmp_path: Path, name: str,
                                                              monkeypatch: pytest.MonkeyPatch) -> None:
    expected = losses(build(name, None), data())
    model = build(name, tmp_path)
    written = losses(model, data())
    assert hits() == 0
    assert_same(written, expected, 1e-3)
    forbid(model, monkeypatch)
    assert_same(losses(model, data(), epoch=1), written, 0)
    assert hits() == 1
    other = build(name, tmp_path)  # another run
    forbid(other, monkeypatch)
    batch = other.data_preprocessor(data(), True)
    assert batch['crops'] is None or len(batch['crops']) == 0 or name == 'R-SC-V'
    assert_same(other(**batch, mode='loss'), written, 0)


@EACH
def test_only_what_is_not_known_is_computed(tmp_path: Path, name: str) -> None:
    model, uncached = build(name, tmp_path), build(name, None)
    losses(model, data((3, 2)))
    batch = model.data_preprocessor(data((3, 2, 4)), True)
    assert_same(losses(model, data((3, 2, 4)), epoch=1), losses(uncached, data((3, 2, 4))), 1e-3)
    assert hits() == pytest.approx(5 / 9)
    assert batch['images'].shape[0] == 3
    partial = data((3, 4), first=2)  # image 2 with its first three of four regions, image 3 for the first time
    partial['data_samples'][0] = data((4, ), first=2)['data_samples'][0]
    assert_same(losses(model, partial, epoch=2), losses(uncached, partial), 1e-3)
    assert hits() == pytest.approx(4 / 8)


@EACH
def test_student_gets_the_gradient_of_the_uncached_loss(tmp_path: Path, name: str) -> None:
    gradients = []
    for model in (build(name, None), build(name, tmp_path), build(name, tmp_path)):
        sum(losses(model, data()).values()).backward()
        gradients.append({key: p.grad for key, p in model.backbone.named_parameters() if p.grad is not None})
    assert_same(gradients[0], gradients[1], 2e-3)
    assert_same(gradients[1], gradients[2], 0)


@pytest.mark.parametrize('normalise', [True, False])
def test_the_refiner_s_loss_and_gradient_are_the_uncached_ones(tmp_path: Path, normalise: bool,
                                                               monkeypatch: pytest.MonkeyPatch) -> None:
    loss = dict(refiner_loss=dict(type='RefinerLoss', normalise=normalise, temperature=1.))
    results = []
    for path in (None, tmp_path, tmp_path):
        model = refiner_trainer(path, **loss)
        if len(results) == 2:
            monkeypatch.setattr(model.backbone, 'encode_dense', None)  # no crop may run any more
        found = losses(model, data())
        found['loss_refiner'].backward()
        results.append((found, {key: p.grad for key, p in model.refiner.named_parameters() if p.grad is not None}))
    for uncached, written, read in zip(*results):
        assert_same(uncached, written, 2e-3)
        assert_same(written, read, 0)
    assert hits() == 1 and results[0][1]


def test_the_refiner_s_unknown_regions_alone_are_cut_and_computed(tmp_path: Path) -> None:
    model, uncached = refiner_trainer(tmp_path), refiner_trainer(None)
    losses(model, data((3, 2)))
    MessageHub.get_current_instance().update_info('epoch', 1)
    batch = model.data_preprocessor(data((3, 2, 4)), True)
    assert len(batch['crops']) == 4 and hits() == pytest.approx(5 / 9)
    assert_same(model(**batch, mode='loss'), losses(uncached, data((3, 2, 4))), 1e-3)
    store = model.targets.crops
    assert store.folder == tmp_path / 'tokens' and store.width == 4 * 24  # 2 x 2 tokens of a crop of 32 px
    empty = losses(model, dict(inputs=[], data_samples=[]))
    empty['loss_refiner'].backward()
    assert empty['loss_refiner'] == 0


def test_the_refiner_s_cache_is_of_its_tower_and_direction(tmp_path: Path) -> None:
    losses(refiner_trainer(tmp_path), data())
    other = refiner_trainer(tmp_path)
    other.backbone.vit.norm.bias.data += 1
    with pytest.raises(ValueError, match=r"tokens.identity.json: field 'teacher': found"):
        losses(other, data())
    with pytest.raises(ValueError, match="field 'targets': found a cache with direction 'local_to_global', expected N"):
        refiner_trainer(tmp_path, direction='local_to_global')


def test_no_image_at_all(tmp_path: Path) -> None:
    model = build('R-SC', tmp_path)
    result = losses(model, dict(inputs=[], data_samples=[]))
    sum(result.values()).backward()
    assert sum(result.values()) == 0


def test_evaluation_neither_reads_nor_leaves_out(tmp_path: Path) -> None:
    model = build('CLIPSelf', tmp_path)
    losses(model, data())
    batch = model.eval().data_preprocessor(data(), False)
    assert len(batch['crops']) == 5
    assert len(model(**batch, mode='predict')[0].crop_features) == 3


def test_clipself_and_both_kinds_of_correlations_share_a_folder(tmp_path: Path) -> None:
    for name in ('CLIPSelf', 'SC', 'R-SC'):
        losses(build(name, tmp_path), data())
    assert sorted(path.name for path in tmp_path.iterdir()) == ['correlations', 'crops', 'refined']
    assert len(list((tmp_path / 'crops').glob('*.rows'))) == 1, 'the embeddings were written once'


@pytest.mark.parametrize('field, pixels', [
    ('data_preprocessor.crop_size', dict(crop_size=48)),
    ('data_preprocessor.backend', dict(backend='pil')),
    ('data_preprocessor.mean, std', dict(mean=(0.5, 0.5, 0.5))),
    ('data_preprocessor.image_size', dict(image_size=128)),
])
def test_other_preprocessing_is_refused_by_field(tmp_path: Path, field: str, pixels: dict) -> None:
    losses(build('SC', tmp_path), data())
    with pytest.raises(ValueError, match=f"field '{field}': found"):
        losses(build('SC', tmp_path, **pixels), data())


def test_other_teacher_refiner_and_precision_are_refused_by_field(tmp_path: Path) -> None:
    losses(build('R-SC', tmp_path), data())
    teacher, refiner = build('R-SC', tmp_path), build('R-SC', tmp_path)
    teacher.teacher.vit.norm.bias.data += 1
    refiner.refiner.fc_inter[-1].bias.data += 1
    for field, model in (('teacher', teacher), ('refiner', refiner)):
        with pytest.raises(ValueError, match=f"field '{field}': found"):
            losses(model, data())
    with torch.autocast('cpu', torch.bfloat16), pytest.raises(ValueError, match="'precision': found 'torch.float32', "
                                                                                "expected this run's 'torch.bfloat16'"):
        losses(build('R-SC', tmp_path), data())


def test_correlations_that_are_no_region_s_are_refused(tmp_path: Path) -> None:
    model = build('SC', tmp_path)
    model.scd_loss.scope = 'inter_instance'
    with pytest.raises(ValueError, match="field 'scope': found 'inter_instance', expected 'region'"):
        losses(model, data())


def test_boxes_images_and_input_sizes_are_told_apart(tmp_path: Path) -> None:
    model = build('SC', tmp_path)
    losses(model, data())
    moved, other, larger = data(), data(first=2), data()
    for sample in moved['data_samples']:
        sample.boxes = sample.crop_boxes = sample.boxes + 0.5
    for batch, expected in ((moved, 0), (other, 0)):
        losses(model, batch, epoch=1)
        assert hits() == expected
    model.data_preprocessor.multiscale = (128, )  # the crops are known, the correlations at that size are not
    losses(model, larger, epoch=2)
    assert hits() == 0.5


def test_the_size_is_said_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines, model = [], build('SC', tmp_path)
    monkeypatch.setattr('rsc_mm.models.targets.cached_targets.print_log', lambda line, logger: lines.append(
        (line, list(tmp_path.rglob('*.rows')))))
    MessageHub.get_current_instance().update_info('max_iters', 1000)
    losses(model, data())
    (line, files), = lines
    assert f'{2 * 24 + 2 * 81} bytes a region, at most 0.00 GB in 1000 steps of 5 regions in 1 processes' in line
    assert 'GB are free' in line and files == []
