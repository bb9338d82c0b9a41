import copy

import pytest
import torch
from mmdet.registry import DATASETS, HOOKS, LOOPS, METRICS, VISUALIZERS
from mmengine.config import Config

import rsc_mm.engine  # noqa: F401  registers the optimiser wrapper
import rsc_mm.models.detectors  # noqa: F401  registers the detectors
from rsc_mm.models.text import read_class_names, write_embeddings
from rsc_mm.registry import MODELS, OPTIM_WRAPPERS
from tests.test_tools.common import REPOSITORY

CONFIGS = REPOSITORY / 'configs'
LEAVES = sorted(path.relative_to(CONFIGS) for path in [*CONFIGS.glob('fvit/*.py'), *CONFIGS.glob('shapes/fvit*.py')])


def offline(config, folder):
    """The model with names and embeddings in the place of files that are not at hand."""
    model = copy.deepcopy(config.model)
    head = model.roi_head.bbox_head
    if str(head.classes).endswith('.json'):
        head.classes = [f'class {i}' for i in range(365)]  # Objects365: by its file
        head.base_classes = head.classes[:7]
    names = [*read_class_names(head.classes), 'background']
    head.class_embeddings = str(folder / 'classes.safetensors')
    write_embeddings(head.class_embeddings, names, torch.randn(len(names), head.fc_out_channels))
    return model


@pytest.mark.parametrize('leaf', LEAVES, ids=str)
def test_every_type_resolves_and_the_model_builds(leaf, tmp_path):
    config = Config.fromfile(CONFIGS / leaf)
    assert config.default_scope == 'mmdet'
    for registry, part in ((DATASETS, config.test_dataloader.dataset), (METRICS, config.test_evaluator),
                           (LOOPS, config.test_cfg), (VISUALIZERS, config.visualizer),
                           *((HOOKS, hook) for hook in [*config.custom_hooks, *config.default_hooks.values()])):
        assert registry.get(part.type) is not None, part.type
    if config.train_dataloader:
        assert DATASETS.get(config.train_dataloader.dataset.type) and LOOPS.get(config.train_cfg.type)
        assert OPTIM_WRAPPERS.get(config.optim_wrapper.type)
    part = offline(config, tmp_path)
    with torch.device('meta'):
        model = MODELS.build(part)
    tower, patch = model.backbone, model.backbone.patch_size
    strides = [patch / 4, patch / 2, patch, patch * 2]
    assert [stride[0] for stride in model.rpn_head.prior_generator.strides[:4]] == strides
    assert list(model.roi_head.bbox_roi_extractor.featmap_strides) == strides
    assert model.roi_head.bbox_head.fc_cls.in_features == tower.embed_dim
    assert config.model.data_preprocessor.pad_size_divisor % (2 * patch) == 0
    assert not any(p.requires_grad for p in tower.parameters())
    assert config.model.backbone.frozen_stages == tower.depth
    if model.roi_head.with_mask:
        assert list(model.roi_head.mask_roi_extractor.featmap_strides) == strides


@pytest.mark.parametrize('leaf', [leaf for leaf in LEAVES if leaf.parts[0] == 'fvit'], ids=str)
def test_square_padding_is_the_size_of_the_pipeline(leaf):
    config = Config.fromfile(CONFIGS / leaf)
    size, divisor = config.test_dataloader.dataset.pipeline[1].scale, config.model.data_preprocessor.pad_size_divisor
    assert size[0] == size[1] and (divisor == 32 if 'rect' in leaf.name else divisor == size[0])
    assert all(step.type != 'Pad' for step in config.test_dataloader.dataset.pipeline)
    if config.train_dataloader:
        steps = {step.type: step for step in config.train_dataloader.dataset.pipeline}
        assert steps['RandomResize'].scale == steps['RandomCrop'].crop_size == size and 'Pad' not in steps


@pytest.mark.parametrize('name, expected', [
    ('fvit_vitb16_ovcoco', (75, 0.1, 0.8, 0.6, 0.01, 0.4, 100, False, 3)),
    ('fvit_vitl14_ovcoco', (75, 0.1, 0.8, 0.6, 0.01, 0.4, 100, False, 3)),
    ('fvit_vitb16_ovlvis', (50, 0.1, 0.6, 0.9, 1e-4, 0.5, 300, True, 48)),
    ('fvit_vitl14_ovlvis', (50, 0.1, 0.4, 0.9, 1e-4, 0.5, 300, True, 48)),
])
def test_constants_of_the_paper(name, expected):
    config = Config.fromfile(CONFIGS / f'fvit/{name}.py')
    head, test = config.model.roi_head.bbox_head, config.model.test_cfg.rcnn
    found = (head.clip_temperature, head.alpha, head.beta, head.loss_cls.background_weight, test.score_thr,
             test.nms.iou_threshold, test.max_per_img, config.model.train_cfg.rcnn.assigner.match_low_quality,
             config.train_cfg.max_epochs)
    assert found == expected
    assert config.optim_wrapper.optimizer.lr == 1e-4 and config.optim_wrapper.clip_grad.max_norm == 1
    assert config.train_dataloader.batch_size == 8
    indices = (3, 5, 7, 11) if 'vitb16' in name else (6, 10, 14, 23)
    assert tuple(config.model.backbone.out_indices) == indices


def test_leaves_differ_in_the_checkpoint_only():
    base = Config.fromfile(CONFIGS / 'fvit/fvit_vitb16_ovcoco.py')
    other = Config.fromfile(CONFIGS / 'fvit/fvit_vitb16_ovcoco_r_sc_clipself.py')
    assert base.model.backbone.init_cfg.pop('checkpoint') != other.model.backbone.init_cfg.pop('checkpoint')
    assert base.to_dict() == other.to_dict()
