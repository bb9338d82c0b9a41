import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

pytest.importorskip('mmcv._ext', reason="needs mmcv's operators")
pytest.importorskip('mmseg', reason='needs mmseg')
from mmengine.optim import build_optim_wrapper  # noqa: E402
from mmengine.registry import DefaultScope  # noqa: E402
from mmseg.registry import DATASETS  # noqa: E402

import rsc_mm.datasets.segmentation  # noqa: E402, F401  registers the data sets
from rsc_mm.engine.label_order_hook import check_label_order  # noqa: E402
from rsc_mm.models.text import class_queries, read_class_names  # noqa: E402
from rsc_mm.utils.checkpoint import CheckpointError  # noqa: E402
from tests.test_tools.common import REPOSITORY  # noqa: E402

from .tiny import build, tiny_catseg  # noqa: E402

LEAVES = sorted(path.stem for path in (REPOSITORY / 'configs/catseg').glob('*.py'))
TRAINED = {'vitb16': 48, 'vitl14': 72}
DISTILLED = {'clipself': 'value', 'r_sc_clipself': 'value', 'r_sc_v': 'value', 'declip': 'qq', 'denserc': 'hsg'}
TESTED = {'ade847': 847, 'pc459': 459, 'context59': 59, 'voc20': 20, 'voc21': 21}


@pytest.mark.parametrize('leaf', LEAVES)
def test_the_model_builds_with_the_paper_s_constants(leaf):
    config = Config.fromfile(REPOSITORY / f'configs/catseg/{leaf}.py')
    with torch.device('meta'):
        model = build(config.model)
    size = leaf.split('_')[1]
    towers = [*model.backbone.parameters(), *model.decode_head.vocabulary.parameters()]
    assert sum(p.requires_grad for p in towers) == TRAINED[size]
    assert model.layers == ((3, 7) if size == 'vitb16' else (7, 15))
    assert model.image_size == ((384, 384) if size == 'vitb16' else (336, 336))
    readout, expected = model.backbone.readout_config, DISTILLED.get(leaf.split('_', 2)[-1], 'value_cls')
    assert (readout if isinstance(readout, str) else readout['type']) == expected
    assert len(model.train().classes) == 171
    assert len(model.eval().classes) == TESTED.get(leaf.split('_')[2] if len(leaf.split('_')) > 2 else '', 150)
    aggregator = model.decode_head.aggregator
    assert aggregator.pooling_size == (2, 2) and aggregator.pad_len == 256 and len(aggregator.spatial_layers) == 2
    assert model.test_cfg.size == (640, 640) and model.test_cfg.stride == (256, 256)
    assert model.decode_head.loss_decode.ignore == 'negative'


@pytest.mark.parametrize('leaf', LEAVES)
def test_labels_of_vocabulary_and_data_sets_are_in_one_order(leaf):
    config = Config.fromfile(REPOSITORY / f'configs/catseg/{leaf}.py')
    vocabulary = config.model.decode_head.vocabulary
    pairs = [(config.test_dataloader, vocabulary.test_classes)]
    if 'train_dataloader' in config:
        pairs += [(config.train_dataloader, vocabulary.classes), (config.val_dataloader, vocabulary.test_classes)]
    for loader, classes in pairs:
        data = loader.dataset
        check_label_order(data.get('metainfo', DATASETS.get(data.type).METAINFO)['classes'], read_class_names(classes))
    assert config.default_hooks.label_order.type == 'rsc_mm.LabelOrderHook'


def test_the_background_of_voc21_is_the_public_list():
    vocabulary = Config.fromfile(REPOSITORY / 'configs/catseg/catseg_vitb16_voc21.py').model.decode_head.vocabulary
    names, texts = class_queries(vocabulary.test_classes, vocabulary.aliases)
    assert texts[0] == read_class_names('voc20b')[20:] and len(texts[0]) == 39
    assert [text for part in texts[1:] for text in part] == names[1:] == read_class_names('voc20')


def test_rates_and_decay_by_role():
    config = Config.fromfile(REPOSITORY / 'configs/catseg/catseg_vitb16.py')
    model = tiny_catseg()
    optimizer = build_optim_wrapper(model, config.optim_wrapper)
    found = {}
    names = {id(p): name for name, p in model.named_parameters()}
    for group in optimizer.optimizer.param_groups:
        for p in group['params']:
            found[names[id(p)]] = (group['lr'], group['weight_decay'])
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trained <= found.keys()
    norms = [name for name in trained if 'norm' in name]
    for name in trained:
        clip = name.startswith(('backbone.', 'decode_head.vocabulary.'))
        expected = (2e-4 * (0.01 if clip else 1), 0. if name in norms else 1e-4)
        assert found[name] == pytest.approx(expected), name
    assert len(norms) == 2 * (2 * 5 + 2 * 2 + 4)  # weight and bias: Swin, class layers, decoder
    assert config.optim_wrapper.clip_grad == dict(max_norm=0.01) and config.find_unused_parameters


@pytest.mark.slow
def test_shapes_trains_and_a_checkpoint_keeps_to_its_readout(shapes_root, tmp_path, monkeypatch):
    """Two steps on base classes, validation on all 18, and the readout that travels with the weights."""
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.setenv('SHAPES_ROOT', str(shapes_root))
    config = Config.fromfile('configs/shapes/catseg_shapes.py')
    config.work_dir = str(tmp_path)
    config.train_cfg.update(max_iters=2, val_interval=2)
    config.train_dataloader.batch_size = 2
    config.val_dataloader.batch_size = config.test_dataloader.batch_size = 6
    config.visualizer.vis_backends = [dict(type='LocalVisBackend')]
    with DefaultScope.overwrite_default_scope('mmseg'):
        runner = Runner.from_cfg(config)
        labels = runner.train_dataloader.dataset[0]['data_samples'].gt_sem_seg.data
        assert ((labels < 15) | (labels == 255)).all() and (labels == 255).any()
        runner.train()
        metrics = runner.val_loop.run()
        assert {'mIoU_trained', 'mIoU_held_out', 'mIoU_stuff', 'mIoU_present'} <= metrics.keys()
        saved = torch.load(tmp_path / 'iter_2.pth', weights_only=False)
        assert saved['meta']['readout'] == 'value'
        runner.load_checkpoint(str(tmp_path / 'iter_2.pth'), strict=True)
        saved['meta']['readout'] = 'value_cls'
        torch.save(saved, tmp_path / 'other.pth')
        with pytest.raises(CheckpointError, match="the checkpoint: was trained with readout 'value_cls'"):
            runner.load_checkpoint(str(tmp_path / 'other.pth'))
