"""Unsupervised segmentation: its configurations, its command on Shapes and on real images, its page."""
import importlib.util
import json
import os
import re
import sys
from pathlib import Path

import pytest
import torch
import yaml
from mmengine.config import Config

pytest.importorskip('mmcv.ops', reason="needs mmcv's operators")
pytest.importorskip('mmseg', reason='needs mmseg')

from .cause_toy import HEAD, PROJECT, save_tower  # noqa: E402, I001
from cause.running import STEPS, check_fields, step_config  # noqa: E402
from mmengine.registry import DefaultScope  # noqa: E402
from mmseg.registry import DATASETS, METRICS, TRANSFORMS  # noqa: E402
from mmseg.utils import register_all_modules  # noqa: E402
from rsc_mm.apis import load_config  # noqa: E402
from rsc_mm.registry import MODELS  # noqa: E402

LEAVES = sorted(path for path in PROJECT.glob('*.py') if path.stem != 'run')
COCO_MINI = Path(os.environ.get('RSC_MM_COCO_MINI', PROJECT.parents[2] / 'shared' / 'coco_mini'))
TOWERS = {'DINOv2ViT': ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375]),
          'EVACLIPViT': ([122.771, 116.746, 104.094], [68.501, 66.632, 70.323])}


@pytest.fixture(autouse=True)
def root(monkeypatch, shapes_root):
    monkeypatch.chdir(PROJECT.parents[1])
    monkeypatch.setenv('SHAPES_ROOT', str(shapes_root))


def types_in(part: object) -> list[str]:
    if isinstance(part, dict):
        return [part['type'], *types_in([v for k, v in part.items() if k != 'type'])] if 'type' in part else \
            types_in(list(part.values()))
    return [name for value in part for name in types_in(value)] if isinstance(part, (list, tuple)) else []


@pytest.mark.parametrize('leaf', LEAVES, ids=lambda leaf: leaf.stem)
class TestConfigurations:

    def test_every_type_resolves_and_head_and_colours_fit_the_tower(self, leaf):
        register_all_modules(init_default_scope=False)
        config = Config.fromfile(leaf)
        check_fields(config)
        model, backbone = config.model, config.model.backbone
        for name in types_in([config.train_dataloader.to_dict(), config.test_dataloader.to_dict(),
                              [dict(metric) for metric in config.test_evaluator]]):
            found = [registry.get(name) for registry in (DATASETS, METRICS, TRANSFORMS)]
            assert any(found) or name in ('InfiniteSampler', 'DefaultSampler'), name
        pixels = model.data_preprocessor
        assert (pixels.mean, pixels.std) == TOWERS[backbone.type.rpartition('.')[2]]
        with torch.device('meta'):
            tower = MODELS.build({**backbone, 'init_cfg': None})
        assert pixels.size[0] % tower.patch_size == 0
        assert model.head.num_tokens == (pixels.size[0] // tower.patch_size) ** 2
        for part in (config.train_dataloader, config.test_dataloader):
            data = part.dataset.get('dataset', part.dataset)
            assert [step.crop_size for step in data.pipeline if step.type == 'CenterCrop'] == [pixels.size[0]]

    def test_each_step_takes_its_fields(self, leaf):
        config, used = Config.fromfile(leaf), set()
        config.work_dir = 'folder'
        for name, (kind, _) in STEPS.items():
            step = step_config(config, name, 'before.pth')
            assert step.model.type == kind and step.model.start == 'before.pth' and 'steps' not in step
            assert step.train_cfg.max_iters > 0 and step.optim_wrapper.optimizer.type == 'Adam'
            assert step.work_dir == f'folder/{name}'
            used |= set(step.model) - {'type', 'start'}
        assert used == set(config.model)  # no field is one that nothing reads

    def test_the_header(self, leaf):
        text = leaf.read_text()
        assert re.search(r'^# Paper: ', text, re.M) and re.search(r'^# Measured here: ', text, re.M)
        assert f'projects/unsupervised_segmentation/{leaf.name}' in text


def test_another_configuration_is_refused():
    config = Config.fromfile(PROJECT / 'shapes.py')
    config.model.widht = 3
    with pytest.raises(ValueError, match=r"shapes\.py, field 'model': found .*'widht'.*expected .*'temperature'"):
        step_config(config, 'codebook', None)
    with pytest.raises(ValueError, match=r"field 'steps': found \[\], expected \['clusters', 'codebook', 'segment_"):
        step_config(Config.fromfile('configs/shapes/maskclip_shapes.py'), 'codebook', None)


def test_the_options_that_leave_the_crf_out():
    found = re.search(r'`--cfg-options (model\.crf=.+)`', (PROJECT / 'README.md').read_text())[1].split()
    options = {key: None if value == 'None' else value for key, value in (option.split('=') for option in found)}
    config = load_config(PROJECT / 'dinov2_vitb14_cityscapes.py', options)
    assert config.model.crf is None and [m.get('field') for m in config.test_evaluator] == [None, 'pred_sem_seg', None]
    assert len({metric.prefix for metric in config.test_evaluator}) == 3


def command(monkeypatch, *arguments: str) -> None:
    """run.py in this process."""
    spec = importlib.util.spec_from_file_location('cause_run', PROJECT / 'run.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(sys, 'argv', ['run.py', *arguments])
    module.main()


SMALL = ['model.num_codes=4', 'model.head.hidden_channels=8', 'model.head.out_channels=6',
         'model.projection_channels=8', 'steps.codebook.train_cfg.max_iters=2',
         'steps.segment_head.train_cfg.max_iters=2', 'steps.clusters.train_cfg.max_iters=2', 'visualizer=None',
         'train_dataloader.batch_size=2', 'test_dataloader.batch_size=3']


@pytest.mark.slow
def test_one_command_trains_all_steps_and_goes_on(tmp_path, monkeypatch):
    folder = tmp_path / 'run'
    command(monkeypatch, str(PROJECT / 'shapes.py'), '--work-dir', str(folder), '--cfg-options', *SMALL)
    metrics = json.loads((folder / 'metrics.json').read_text())
    assert {'clusters/mIoU', 'clusters/aAcc', 'clusters/mIoU_things', 'linear/mIoU'} <= metrics.keys()
    assert 0 < metrics['clusters/aAcc'] <= 100
    written = {name: (folder / f'{name}.pth').stat().st_mtime_ns for name in STEPS}
    (folder / 'clusters.pth').unlink()  # as if it had been stopped in the last step
    command(monkeypatch, str(PROJECT / 'shapes.py'), '--work-dir', str(folder), '--cfg-options', *SMALL)
    assert json.loads((folder / 'metrics.json').read_text()) == metrics
    assert all((folder / f'{name}.pth').stat().st_mtime_ns == written[name] for name in ('codebook', 'segment_head'))


@pytest.mark.slow
@pytest.mark.skipif(not COCO_MINI.is_dir(), reason='real COCO images are not at hand')
def test_real_images_take_steps_and_a_test(tmp_path, monkeypatch):
    """The pipeline of COCO-Stuff, with five crops, on photographs: panoptic labels stand in for those of stuff."""
    config = Config.fromfile(PROJECT / 'eva_clip_vitb16_coco_stuff.py')
    load = dict(type='rsc_mm.LoadPanopticLabels')
    for part, split in (('train', 'train2017'), ('test', 'val2017')):
        loader = config[f'{part}_dataloader']
        holder = loader.dataset if part == 'train' else loader
        steps = [load if step.type == 'rsc_mm.LoadLabelMap' else step for step in holder.dataset.pipeline]
        for step in steps:
            step.update(dict(scale=(100000, 64)) if step['type'] == 'Resize' else
                        dict(crop_size=64) if step['type'] == 'CenterCrop' else {})
        holder.dataset = dict(
            type='rsc_mm.PanopticLabelDataset', data_root=str(COCO_MINI), ann_file=f'annotations/panoptic_{split}.json',
            data_prefix=dict(img_path=split, seg_map_path=f'annotations/panoptic_{split}'), pipeline=steps, indices=4)
        loader.update(num_workers=0, persistent_workers=False, batch_size=2)
    config.model.backbone.arch = dict(img_size=64, patch_size=16, embed_dim=48, depth=4, num_heads=3, num_classes=24,
                                      ref_feat_shape=(4, 4))
    config.model.update(num_classes=133, head=HEAD, num_codes=8, projection_channels=8, bank_size=4)
    if not importlib.util.find_spec('pydensecrf'):
        config.model.crf = None
        config.test_evaluator = [m for m in config.test_evaluator if m.get('field') != 'pred_crf']
    config.model.data_preprocessor.size = (64, 64)
    config.dump(tmp_path / 'small.py')
    options = [option for option in SMALL if 'max_iters' in option or 'visualizer' in option]
    command(monkeypatch, str(tmp_path / 'small.py'), '--checkpoint', save_tower(tmp_path), '--work-dir',
            str(tmp_path / 'run'), '--cfg-options', *options)
    metrics = json.loads((tmp_path / 'run/metrics.json').read_text())
    assert 0 < metrics['clusters/aAcc'] <= 100 and 0 <= metrics['linear/mIoU'] <= 100
    assert importlib.util.find_spec('pydensecrf') is None or 0 < metrics['crf/aAcc'] <= 100


class TestPage:

    @pytest.fixture
    def models(self) -> dict[str, list[dict]]:
        content = yaml.safe_load((PROJECT / 'metafile.yml').read_text())
        return {Path(model['Config']).stem: model['Results'] for model in content['Models']}

    def test_the_metafile_lists_the_configurations(self, models):
        assert set(models) == {leaf.stem for leaf in LEAVES}

    def test_the_table_of_shapes_is_that_of_the_metafile(self, models):
        page = (PROJECT / 'README.md').read_text()
        for result in models['shapes']:
            cells = re.search(rf'^\| {re.escape(result["Tower"])}[^|]*\|(.+)\|$', page, re.M)[1].split('|')
            expected = ['not measured' if value is None else f'{value:.1f}' for value in result['Metrics'].values()]
            assert [cell.strip() for cell in cells] == expected


@pytest.fixture(scope='module', autouse=True)
def scope():
    with DefaultScope.overwrite_default_scope('mmseg'):
        yield
