import copy

import pytest
import torch

from rsc_mm.registry import MODELS
from rsc_mm.utils.regions import pool_regions
from tests.test_models.test_detectors.tiny import BASE, CLASSES, batch, embeddings, tiny_config, tiny_fvit

SQUARE, RECTANGLE = [(64, 64), (64, 64)], [(64, 90), (50, 96)]


def losses_of(model, data):
    losses = model(**data, mode='loss')
    total, _ = model.parse_losses(losses)
    return total, losses


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize('sizes, shape', [(SQUARE, (64, 64)), (RECTANGLE, (64, 96))])
def test_a_training_step_and_a_test_pass(sizes, shape, dtype):
    model = tiny_fvit(masks=True)
    data = batch(model, sizes, [[0, 3, 1], [3]])
    assert tuple(data['inputs'].shape) == (2, 3, *shape)
    with torch.autocast('cpu', torch.bfloat16, enabled=dtype == torch.bfloat16):
        total, losses = losses_of(model, data)
        assert losses.keys() == {'loss_rpn_cls', 'loss_rpn_bbox', 'loss_cls', 'acc', 'loss_bbox', 'loss_mask'}
        total.backward()
        model.eval()
        with torch.no_grad():
            results = model(**batch(model, sizes, [[], []], training=False), mode='predict')
    assert total.isfinite()
    for result, size in zip(results, sizes):
        found = result.pred_instances
        assert found.scores.isfinite().all() and found.scores.dtype == found.bboxes.dtype == torch.float32
        assert 0 < len(found) <= 100 and (found.labels < len(CLASSES)).all()
        assert (found.bboxes >= 0).all() and (found.bboxes[:, 2] <= size[1]).all()
        assert (found.bboxes[:, 3] <= size[0]).all() and found.masks.shape == (len(found), *size)


def test_gradients_reach_all_trainable_parameters_and_no_frozen_one():
    model = tiny_fvit(masks=True)
    before = {key: value.clone() for key, value in model.backbone.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1e-4)
    losses_of(model, batch(model, SQUARE, [[0, 3], [3]]))[0].backward()
    optimizer.step()
    trainable = {name: p for name, p in model.named_parameters() if p.requires_grad}
    assert not [name for name, p in trainable.items() if p.grad is None]
    assert not [name for name in trainable if name.startswith('backbone.')]
    assert not model.backbone.training and model.roi_head.training
    assert not any(module.training for module in model.backbone.modules())
    assert all(torch.equal(before[key], value) for key, value in model.backbone.state_dict().items())
    # In the end every one of them moves, but for dead rectifiers.
    silent = [name for name, p in trainable.items() if not p.grad.any()]
    assert not [name for name in silent if 'bias' not in name and 'bn' not in name], silent


def test_training_lowers_the_loss():
    model = tiny_fvit()
    data = batch(model, SQUARE, [[0, 3], [3]])
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=3e-3)
    history = []
    for _ in range(12):
        torch.manual_seed(0)
        total, _ = losses_of(model, {**data, 'data_samples': copy.deepcopy(data['data_samples'])})
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        history.append(total.item())
    assert history[-1] < 0.8 * history[0]


@pytest.mark.parametrize('labels', [[[], []], [[1, 2], [2]], [[], [1, 3]]], ids=['empty', 'novel only', 'mixed'])
def test_images_without_base_objects(labels):
    model = tiny_fvit(masks=True)
    total, losses = losses_of(model, batch(model, SQUARE, labels))
    total.backward()
    assert total.isfinite()
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)


def test_novel_objects_take_no_part_in_training():
    results = []
    for labels in ([[0, 1, 2], [2]], [[0], []]):
        model = tiny_fvit(masks=True)
        data = batch(model, SQUARE, [[0, 1, 2], [2]])
        for sample, kept in zip(data['data_samples'], labels):
            sample.gt_instances = sample.gt_instances[:len(kept)]
        torch.manual_seed(0)
        results.append(losses_of(model, data)[1])
    for name, value in results[0].items():
        first, second = (torch.stack([torch.as_tensor(v) for v in x]) if isinstance(x, list) else x
                         for x in (value, results[1][name]))
        assert torch.equal(first, second), name


def test_the_dense_map_comes_from_the_same_pass():
    model = tiny_fvit().eval()
    image = torch.randn(2, 3, 64, 96)
    calls = []
    model.backbone.vit.patch_embed.register_forward_hook(lambda *args: calls.append(1))
    with torch.no_grad():
        expected = model.backbone.encode_dense(image)
        assert torch.allclose(model.backbone.project(model.backbone(image)[-1]), expected, atol=1e-6)
        calls.clear()
        model(**batch(model, SQUARE, [[], []], training=False), mode='predict')
    assert len(calls) == 1


def test_scores_are_those_of_the_boxes_dense_features():
    """One proposal: its fused scores from the public pieces, before NMS."""
    model = tiny_fvit().eval()
    data = batch(model, [(64, 96)], [[]], training=False)
    boxes = torch.tensor([[10.3, 8.7, 50.1, 40.9]])
    seen = {}
    head = model.roi_head.bbox_head
    scores = head.scores
    head.scores = lambda logits, regions: seen.update(logits=logits, regions=regions) or scores(logits, regions)
    from mmengine.structures import InstanceData
    data['data_samples'][0].proposals = InstanceData(bboxes=boxes)
    with torch.no_grad():
        found = model(**data, mode='predict')[0].pred_instances
        dense = model.backbone.encode_dense(data['inputs'])
    assert torch.allclose(seen['regions'], pool_regions(dense, [boxes], 16), atol=1e-6)
    best = {label: score for label, score in zip(found.labels.tolist(), found.scores.tolist())}
    expected = scores(seen['logits'], seen['regions'])[0, :4]
    assert best == pytest.approx({i: value for i, value in enumerate(expected.tolist()) if value > 0.01}, rel=1e-4)


def test_square_and_stride_layouts_see_the_same_objects():
    """Padding moves features a little and coordinates not at all."""
    torch.manual_seed(0)
    square, stride = (tiny_fvit(pad=pad).eval() for pad in (96, 32))
    stride.load_state_dict(square.state_dict())
    inputs = [batch(model, [(64, 96)], [[0]], training=False) for model in (square, stride)]
    assert [tuple(data['inputs'].shape[2:]) for data in inputs] == [(96, 96), (64, 96)]
    assert torch.equal(inputs[0]['inputs'][:, :, :64], inputs[1]['inputs'])
    assert not inputs[0]['inputs'][:, :, 64:].any()  # zeros after the colours are normalised
    for model, data in zip((square, stride), inputs):
        assert data['data_samples'][0].img_shape == (64, 96)
        with torch.no_grad():
            found = model(**data, mode='predict')[0].pred_instances
        assert found.bboxes[:, 3].max() <= 64


def test_the_vocabulary_changes_without_training():
    model = tiny_fvit().eval()
    names = ['kite', 'sun', 'cat', 'moon', 'star', 'sea']
    rows = embeddings(7, seed=3)
    model.set_vocabulary(names, rows)
    head = model.roi_head.bbox_head
    assert head.classes == tuple(names) and head.num_classes == 6
    assert head.is_base.tolist() == [True, False, True, False, False, False, True]
    assert torch.allclose(head.fc_cls.embeddings, rows)
    with torch.no_grad():
        found = model(**batch(model, SQUARE, [[], []], training=False), mode='predict')[0].pred_instances
    assert found.labels.max() <= 5 and found.labels.unique().numel() > 1
    fresh = MODELS.build(tiny_config())  # another vocabulary in the config reads the same weights
    fresh.load_state_dict(model.state_dict())
    with pytest.raises(ValueError, match=r"found \['sun'\] twice"):
        model.set_vocabulary(['sun', 'sun'])


def test_a_file_without_a_name_is_refused(tmp_path):
    torch.save({name: row for name, row in zip([*BASE, 'background'], embeddings(3))}, tmp_path / 'classes.pt')
    model = tiny_fvit()
    model.set_vocabulary(BASE, str(tmp_path / 'classes.pt'))
    assert torch.allclose(model.roi_head.bbox_head.fc_cls.embeddings, embeddings(3), atol=1e-6)
    with pytest.raises(ValueError, match=r"but not \['sun'\]"):
        model.set_vocabulary(['cat', 'sun'])


def test_maps_must_end_with_the_last_block():
    config = tiny_config()
    config.backbone.out_indices = (0, 1, 2)
    with pytest.raises(ValueError, match=r"'backbone.out_indices': found \(0, 1, 2\), expected the last to be 3"):
        MODELS.build(config)


def test_a_detector_of_boxes_reads_one_with_masks():
    with_masks, boxes = tiny_fvit(masks=True), tiny_fvit(seed=5)
    boxes.rpn_head = with_masks.rpn_head  # the norm differs
    boxes.load_state_dict(with_masks.state_dict())
    assert torch.equal(boxes.neck.up2.weight, with_masks.neck.up2.weight)
