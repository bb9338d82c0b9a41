import pytest
import torch
from torch.nn import functional as F

from rsc_mm.registry import MODELS
from rsc_mm.utils.regions import pool_regions

from .tiny import CLASSES, embeddings
from .tiny_ov_dquo import batch, tiny_config, tiny_ov_dquo

# Of mmdet's encoder.
pytestmark = pytest.mark.filterwarnings('ignore:torch.meshgrid:UserWarning')
RECTANGLE = [(64, 90), (50, 96)]


def losses_of(model, data):
    losses = model(**data, mode='loss')
    return model.parse_losses(losses)[0], losses


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16], ids=str)
def test_a_training_step_and_a_test_pass(dtype):
    model = tiny_ov_dquo()
    with torch.autocast('cpu', torch.bfloat16, enabled=dtype == torch.bfloat16):
        total, losses = losses_of(model, batch(model, RECTANGLE, [[0, 3, -1], [-1]]))
        total.backward()
        model.eval()
        with torch.no_grad():
            results = model(**batch(model, RECTANGLE, [[], []], training=False), mode='predict')
    kinds = ('loss_cls', 'loss_bbox', 'loss_iou')
    assert losses.keys() == {*kinds, 'dn_loss_cls', 'd0.dn_loss_cls', *(f'd0.{k}' for k in kinds),
                             *(f'enc_{k}' for k in kinds)}
    assert total.isfinite() and all(value.dtype == torch.float32 for value in losses.values())
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    assert not [name for name, p in trained.items() if p.grad is None or not p.grad.isfinite().all()]
    assert not [name for name in trained if name.startswith('backbone.')]
    for result, (height, width) in zip(results, RECTANGLE):
        found = result.pred_instances
        assert 0 < len(found) <= 100 and (found.labels < len(CLASSES)).all()
        assert found.scores.dtype == torch.float32 and (found.scores > 1e-3).all()
        assert (found.bboxes >= 0).all() and (found.bboxes <= torch.tensor([width, height, width, height])).all()


@pytest.mark.parametrize('labels', [[[], []], [[-1], []], [[1, 2], [2]], [[0], [3, 3]]],
                         ids=['empty', 'unknown only', 'novel only', 'no unknown'])
def test_batches_without_some_kind_of_box(labels):
    model = tiny_ov_dquo()
    total, losses = losses_of(model, batch(model, RECTANGLE, labels))
    total.backward()
    assert total.isfinite()
    assert not [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    real = any(label in (0, 3) for row in labels for label in row)
    moved = any(p.grad.any() for p in model.bbox_head.reg_branches[-1].parameters())
    assert moved == real  # pseudo and novel boxes give no box loss in any layer
    assert (losses['enc_loss_bbox'] > 0) == real
    assert (losses['dn_loss_cls'] > 0) == (real or -1 in labels[0])


def test_novel_objects_take_no_part_in_training():
    results = []
    for labels in ([[0, -1, 1], [2]], [[0, -1], []]):
        model = tiny_ov_dquo()
        data = batch(model, RECTANGLE, [[0, -1, 1], [2]])
        for sample, kept in zip(data['data_samples'], labels):
            sample.gt_instances = sample.gt_instances[:len(kept)]
        torch.manual_seed(0)
        results.append(losses_of(model, data)[1])
    assert all(torch.equal(results[0][name], results[1][name]) for name in results[0])


def test_the_weight_of_a_pseudo_box_weighs_its_logits_alone():
    losses = {}
    for weight in (1., 0.):
        model = tiny_ov_dquo()
        data = batch(model, RECTANGLE, [[0, -1], []])
        data['data_samples'][0].gt_instances.weights[1] = weight
        torch.manual_seed(0)
        losses[weight] = losses_of(model, data)[1]
    for name in losses[1.]:
        assert 'cls' in name or torch.equal(losses[1.][name], losses[0.][name]), name
        assert losses[1.][name] >= losses[0.][name]
    assert all(losses[1.][name] > losses[0.][name] for name in ('enc_loss_cls', 'dn_loss_cls', 'd0.dn_loss_cls'))


def test_training_lowers_the_loss():
    model = tiny_ov_dquo()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=2e-3)
    history = []
    for _ in range(15):
        torch.manual_seed(0)
        total, _ = losses_of(model, batch(model, RECTANGLE, [[0, 3, -1], [3]]))
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        history.append(total.item())
    assert history[-1] < 0.8 * history[0], history


def test_scores_are_those_of_the_final_boxes_on_the_dense_map():
    """The best detections again, from boxes, dense map and logits, without the head."""
    model = tiny_ov_dquo().eval()
    data = batch(model, [(64, 90)], [[]], training=False)
    head, seen = model.bbox_head, {}
    scores = head.scores
    head.scores = lambda *args: seen.update(zip(('logits', 'regions'), args)) or scores(*args)
    with torch.no_grad():
        found = model(**data, mode='predict')[0].pred_instances
        dense = model.backbone.encode_dense(data['inputs'])
        again = F.normalize(pool_regions(dense, [found.bboxes], 16), dim=1)
    probability = torch.cat([100 * again @ embeddings()[:4].t(), torch.zeros(len(found), 1)], 1).softmax(1)
    objectness = found.scores / probability[torch.arange(len(found)), found.labels]
    known = seen['logits'].sigmoid()
    assert all((known - value).abs().min() < 1e-4 for value in objectness)


def test_region_classification_by_hand():
    head = tiny_ov_dquo(class_embeddings=torch.eye(5, 24), temperature=2.).bbox_head
    regions = torch.zeros(2, 24)
    regions[0, 1], regions[1, 9] = 5., 3.  # one like class 1, one like none
    scores = head.scores(torch.tensor([0., 0.]), regions)
    e = torch.tensor(2.).exp()
    assert torch.allclose(scores[0], 0.5 * torch.tensor([1, e, 1, 1, 1]) / (4 + e))
    assert torch.allclose(scores[1], torch.full((5, ), 0.1))  # 1/5 of a half: the constant 0 takes its part


def test_detections_follow_a_permutation_of_the_classes():
    order = [2, 0, 3, 1]
    first, second = tiny_ov_dquo(), tiny_ov_dquo()
    second.set_vocabulary([CLASSES[i] for i in order], embeddings()[[*order, 4]])
    results = []
    for model in (first.eval(), second.eval()):
        with torch.no_grad():
            results.append(model(**batch(model, RECTANGLE, [[], []], training=False), mode='predict')[0].pred_instances)
    assert torch.allclose(results[0].scores, results[1].scores, atol=1e-6)
    assert results[0].labels.tolist() == [order[i] for i in results[1].labels]


def test_a_checkpoint_and_another_vocabulary():
    model = tiny_ov_dquo()
    fresh = MODELS.build(tiny_config())
    fresh.load_state_dict(model.state_dict())
    fresh.set_vocabulary(['kite', 'sun'], embeddings(3))
    assert fresh.bbox_head.is_base.tolist() == [True, False, True]
    branches = fresh.bbox_head.cls_branches
    assert branches[0] is branches[1] and branches[2] is not branches[0] and branches[0].out_features == 1


@pytest.mark.parametrize('change, message', [
    (dict(num_sampled_classes=3), r"'num_sampled_classes': found 3, expected 1 to 2"),
    (dict(text_channels=8), r'found 24 channels, expected 8'),
])
def test_bad_fields_of_the_head(change, message):
    with pytest.raises(ValueError, match=message):
        MODELS.build(tiny_config(**change))


def test_bad_towers_and_images():
    config = tiny_config()
    config.backbone.out_indices = (0, 1, 2)
    with pytest.raises(ValueError, match=r"'backbone.out_indices': found \(0, 1, 2\), expected the last to be 3"):
        MODELS.build(config)
    model = tiny_ov_dquo().eval()
    with pytest.raises(ValueError, match=r"found 21 tokens .* expected at least 30, the field 'num_queries'"):
        model.num_queries = 30
        model(**batch(model, [(30, 30)], [[]], training=False), mode='predict')
