import pytest
import torch
from mmdet.registry import DATASETS, HOOKS, LOOPS, METRICS
from mmengine.config import Config

import rsc_mm.datasets.detection  # noqa: F401  registers the data sets
import rsc_mm.engine  # noqa: F401  registers the hooks
import rsc_mm.evaluation.mmdet_metrics  # noqa: F401  registers the metrics
import rsc_mm.models.detectors  # noqa: F401  registers the detectors
from rsc_mm.engine.class_order_hook import ClassOrderHook
from rsc_mm.models.text import read_class_names
from rsc_mm.registry import MODELS, OPTIM_WRAPPERS
from tests.test_tools.common import REPOSITORY

CONFIGS = REPOSITORY / 'configs'
LEAVES = sorted(path.relative_to(CONFIGS) for path in [*CONFIGS.glob('ov_dquo/*.py'),
                                                       *CONFIGS.glob('shapes/ov_dquo*.py')])


@pytest.mark.parametrize('leaf', LEAVES, ids=str)
def test_every_type_resolves_and_the_constants_are_those_of_the_paper(leaf):
    config = Config.fromfile(CONFIGS / leaf)
    train = config.train_dataloader.dataset
    for registry, part in ((DATASETS, train), (DATASETS, config.test_dataloader.dataset), (LOOPS, config.train_cfg),
                           (METRICS, config.test_evaluator), (OPTIM_WRAPPERS, config.optim_wrapper),
                           *((HOOKS, hook) for hook in [*config.custom_hooks, *config.default_hooks.values()])):
        assert registry.get(part.type) is not None, part.type
    head, model = config.model.bbox_head, config.model
    wrapped = train.get('dataset', train)
    assert wrapped.pipeline[-1].type == 'rsc_mm.PackUnknownObjects' and 'unknown_objects' in wrapped
    if 'shapes' in leaf.name:
        return
    lvis, large = 'ovlvis' in leaf.name, 'vitl14' in leaf.name
    assert model.num_queries == 1000 and model.encoder.num_layers == model.decoder.num_layers == 6
    assert (head.novel_prior, head.get('num_sampled_classes'), model.test_cfg.max_per_img) == (
        (8, 100, 300) if lvis else (3, None, 100))
    assert head.temperature == (50 if 'declip' in leaf.name else 100)
    assert model.test_cfg.score_thr == 1e-3 and model.test_cfg.nms.iou_threshold == 0.5
    assert tuple(model.backbone.out_indices) == ((10, 14, 23) if large else (5, 7, 11))
    assert model.data_preprocessor.pad_size_divisor == (896 if large else 1024) == config.test_pipeline[1].scale[0]
    assert config.optim_wrapper.optimizer.lr == 1e-4 and config.optim_wrapper.clip_grad.max_norm == 0.1
    assert config.train_cfg.max_epochs == (35 if lvis else 30) and config.train_dataloader.batch_size == 4
    assert [hook for hook in config.custom_hooks if hook.type == 'rsc_mm.EMAHook'][0].momentum == 4e-5
    assert len(read_class_names(head.classes)) == (1203 if lvis else 65)


@pytest.mark.slow
@pytest.mark.parametrize('leaf', ['ov_dquo/ov_dquo_vitl14_ovcoco_declip.py', 'ov_dquo/ov_dquo_vitb16_ovlvis_declip.py',
                                  'shapes/ov_dquo_shapes.py'])
def test_the_model_builds_at_full_size(leaf):
    config = Config.fromfile(CONFIGS / leaf).model
    number = len(read_class_names(config.bbox_head.classes)) + 1
    config.bbox_head.class_embeddings = 'none.pt'
    with torch.device('meta'):
        model = MODELS.build(config)
    trained = {name: p.numel() for name, p in model.named_parameters() if p.requires_grad}
    assert not [name for name in trained if name.startswith('backbone.')]
    assert model.bbox_head.fc_cls.in_features == model.backbone.embed_dim
    assert len(model.bbox_head.is_base) == number
    up = sum(count for name, count in trained.items() if name.startswith('neck.up2'))
    assert up == {768: 2_360_064, 1024: 4_195_328, 192: 147_648}[model.backbone.width]


def test_leaves_differ_in_the_checkpoint_only():
    base, other = (Config.fromfile(CONFIGS / f'ov_dquo/ov_dquo_vitb16_ovcoco_{tower}.py')
                   for tower in ('clipself_patches', 'r_sc_clipself'))
    assert base.model.backbone.init_cfg.pop('checkpoint') != other.model.backbone.init_cfg.pop('checkpoint')
    assert base.to_dict() == other.to_dict()


def test_labels_of_another_order_are_refused():
    from types import SimpleNamespace as Namespace
    data = Namespace(metainfo=dict(classes=('b', 'a')))
    runner = Namespace(model=Namespace(bbox_head=Namespace(classes=('a', 'b'))),
                       train_loop=Namespace(dataloader=Namespace(dataset=data)))
    with pytest.raises(ValueError, match=r"field 'bbox_head.classes': .*first difference at label 0"):
        ClassOrderHook().before_train(runner)
