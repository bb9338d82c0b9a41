import importlib.util
import json
import os
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from rsc_mm.apis import command_line, proposals
from rsc_mm.datasets import ProposalRegions, RegionDataset
from tests.test_tools.common import REPOSITORY, run_tool

pytestmark = pytest.mark.slow  # trains, or starts whole programs

pytest.importorskip('mmcv.ops', reason="needs mmcv's operators")
pytest.importorskip('mmdet', reason='needs mmdet')

COCO_MINI = Path(os.environ.get('RSC_MM_COCO_MINI', REPOSITORY.parent / 'shared' / 'coco_mini'))
CONFIG = 'configs/proposals/rpn_r50_ovcoco_base.py'
SMALL = ['model.backbone.depth=18', 'model.neck.in_channels=[64,128,256,512]', 'model.neck.out_channels=32',
         'model.rpn_head.in_channels=32', 'model.rpn_head.feat_channels=32',
         'test_dataloader.dataset.pipeline.1.scale=(96,96)']


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The tool as a module."""
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.setattr(sys, 'argv', [])  # put back in the end
    monkeypatch.syspath_prepend(REPOSITORY / 'tools' / 'data')
    spec = importlib.util.spec_from_file_location(
        'generate_proposals', REPOSITORY / 'tools' / 'data' / 'generate_proposals.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.modules.pop('prepare_ov_coco', None)


@pytest.fixture(scope='module')
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of the small RPN."""
    from mmdet.registry import MODELS
    from mmdet.utils import register_all_modules
    from mmengine.config import Config, DictAction
    from mmengine.registry import DefaultScope
    register_all_modules(init_default_scope=False)
    torch.manual_seed(0)
    config = Config.fromfile(REPOSITORY / CONFIG)
    config.merge_from_dict({key: DictAction._parse_iterable(value) for key, value in
                            (option.split('=') for option in SMALL)})
    config.model.backbone.init_cfg = None
    with DefaultScope.overwrite_default_scope('mmdet'):
        model = MODELS.build(config.model)
    path = tmp_path_factory.mktemp('rpn') / 'rpn.pth'
    torch.save({'state_dict': model.state_dict(), 'meta': {}}, path)
    return path


def run(tool: ModuleType, weights: Path, root: Path, out: Path, *options: str, split: str = 'val') -> dict:
    sys.argv = ['generate_proposals.py', CONFIG, str(weights), str(out), '--ann-file',
                str(root / 'annotations' / f'instances_{split}.json'), '--img-prefix', str(root / split),
                '--batch-size', '2', '--workers', '0', *options, '--cfg-options', *SMALL]
    command_line.run_tool(tool.main)
    return json.loads(out.read_text())


def test_file_is_read_by_distillation(tool, weights, shapes_root, tmp_path, capsys):
    content = run(tool, weights, shapes_root, tmp_path / 'proposals.json', '--top-k', '7')
    official = json.loads((shapes_root / 'annotations' / 'instances_val.json').read_text())
    for key in ('id', 'file_name', 'height', 'width'):
        assert [image[key] for image in content['images']] == [image[key] for image in official['images']]
    rows = content['annotations']
    assert rows[0].keys() >= {'id', 'image_id', 'bbox', 'score', 'area', 'category_id', 'iscrowd'}
    assert [row['id'] for row in rows] == list(range(1, len(rows) + 1))
    for image in content['images']:
        scores = [row['score'] for row in rows if row['image_id'] == image['id']]
        assert len(scores) == 7 and scores == sorted(scores, reverse=True)
    boxes = np.array([row['bbox'] for row in rows])
    assert (boxes >= 0).all() and (boxes[:, :2] + boxes[:, 2:] <= 128 + 0.02).all() and (boxes[:, 2:] > 0).all()
    printed = capsys.readouterr().out
    assert '6 of 6 images' in printed and 'min left' in printed and '42 proposals, 0 images without' in printed
    assert not (tmp_path / 'proposals.json.part').exists()
    data = RegionDataset(ProposalRegions(min_size=0), ann_file=str(tmp_path / 'proposals.json'),
                         img_prefix=str(shapes_root / 'val'))
    assert len(data) == 6 and data[0]['data_samples'].boxes.shape == (7, 4)


def test_more_boxes_begin_with_the_fewer(tool, weights, shapes_root, tmp_path):
    few, many = (run(tool, weights, shapes_root, tmp_path / f'{k}.json', '--top-k', k) for k in ('3', '9'))
    first = few['images'][0]['id']
    boxes = [[row['bbox'] for row in content['annotations'] if row['image_id'] == first] for content in (few, many)]
    assert boxes[0] == boxes[1][:3]
    none = run(tool, weights, shapes_root, tmp_path / 'none.json', '--min-score', '1.1')
    assert none['annotations'] == [] and len(none['images']) == 6


def test_goes_on_after_an_interruption(tool, weights, shapes_root, tmp_path, monkeypatch, capsys):
    whole = run(tool, weights, shapes_root, tmp_path / 'whole.json', '--top-k', '5')
    calls, propose = [], proposals.propose

    def killed(model, batch, *limits):
        calls.append([sample.img_id for sample in batch['data_samples']])
        if len(calls) == 2:
            raise KeyboardInterrupt
        return propose(model, batch, *limits)

    monkeypatch.setattr(proposals, 'propose', killed)
    out = tmp_path / 'out.json'
    with pytest.raises(KeyboardInterrupt):
        run(tool, weights, shapes_root, out, '--top-k', '5')
    assert not out.exists()
    with pytest.raises(SystemExit, match='found an unfinished run with other'):
        run(tool, weights, shapes_root, out, '--top-k', '6')
    assert run(tool, weights, shapes_root, out, '--top-k', '5') == whole
    assert len(calls) == 4 and calls[1] == calls[2] and 'going on after 2 finished images' in capsys.readouterr().out
    run(tool, weights, shapes_root, out, '--top-k', '5')
    assert len(calls) == 4 and 'is there already' in capsys.readouterr().out


def test_best_boxes_by_hand():
    from mmengine.structures import InstanceData
    prediction = InstanceData(bboxes=torch.tensor([[0, 0, 4, 4], [1, 2, 11.126, 22], [5, 5, 5, 9], [2, 2, 3, 3.]]),
                              scores=torch.tensor([0.5, 0.9, 0.8, 0.1]))
    assert proposals.best_boxes(prediction, 5, 0.2) == ([[1, 2, 10.13, 20], [0, 0, 4, 4]], [0.9, 0.5])
    assert proposals.best_boxes(prediction, 1, 0.) == ([[1, 2, 10.13, 20]], [0.9])
    assert proposals.best_boxes(prediction[:0], 5, 0.) == ([], [])


def test_other_weights_are_refused(tool, weights, shapes_root, tmp_path):
    torch.save({'state_dict': {'backbone.conv1.weight': torch.zeros(3)}}, tmp_path / 'other.pth')
    with pytest.raises(SystemExit, match=r'other\.pth: found weights that do not fit'):
        run(tool, tmp_path / 'other.pth', shapes_root, tmp_path / 'out.json')
    with pytest.raises(SystemExit, match=r'nothing\.pth: found no such file'):
        run(tool, tmp_path / 'nothing.pth', shapes_root, tmp_path / 'out.json')


@pytest.mark.skipif(not COCO_MINI.is_dir(), reason='real COCO images are not at hand')
def test_from_official_files_to_proposals(tool, tmp_path, monkeypatch):
    """The steps of configs/proposals/README.md in small: split, train the RPN, evaluate it and let it propose."""
    coco = tmp_path / 'coco'
    (coco / 'annotations').mkdir(parents=True)
    for name in ('train2017', 'val2017', 'annotations/instances_train2017.json', 'annotations/instances_val2017.json'):
        (coco / name).symlink_to(COCO_MINI / name)
    monkeypatch.setenv('COCO_ROOT', str(coco))
    import prepare_ov_coco
    monkeypatch.setattr(sys, 'argv', ['prepare_ov_coco.py'])
    prepare_ov_coco.main()
    run_tool(['tools/train.py', CONFIG, '--work-dir', str(tmp_path / 'rpn'), '--cfg-options', *SMALL[:-1],
              *(f'{split}_dataloader.{key}' for split in ('train', 'val') for key in
                ('num_workers=0', 'persistent_workers=False', 'dataset.indices=20')),
              'train_dataloader.dataset.pipeline.2.scale=(96,96)', 'val_dataloader.dataset.pipeline.1.scale=(96,96)',
              'model.backbone.init_cfg=None', 'train_cfg.max_epochs=1', 'param_scheduler=None',
              'optim_wrapper.optimizer.lr=0.05', 'default_hooks.logger.interval=1'])
    log, = (tmp_path / 'rpn').glob('*/vis_data/scalars.json')
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    losses = [line['loss'] for line in lines if 'loss' in line]
    assert len(losses) >= 9 and np.isfinite(losses).all() and losses[-1] < losses[0]
    assert 0 <= lines[-1]['coco/AR@100'] <= lines[-1]['coco/AR@1000'] <= 1
    out = run(tool, tmp_path / 'rpn' / 'epoch_1.pth', coco, tmp_path / 'proposals.json', split='train2017')
    assert len(out['images']) == 50
    data = RegionDataset(ProposalRegions(), ann_file=str(tmp_path / 'proposals.json'),
                         img_prefix=str(coco / 'train2017'))
    assert len(data) == 50 and len(data[0]['data_samples'].boxes) > 1
