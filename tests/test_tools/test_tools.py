import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from rsc_mm.utils.checkpoint import load_clip_checkpoint, read_checkpoint
from tests.test_tools.common import REPOSITORY, run_tool

pytestmark = pytest.mark.slow  # trains, or starts whole programs

COCO_MINI = Path(os.environ.get('RSC_MM_COCO_MINI', REPOSITORY.parent / 'shared' / 'coco_mini'))
CLIP = 'projects/shapes_clip/shapes_clip.pt'


def test_evaluation_of_the_tiny_clip(shapes_root, tmp_path):
    printed = run_tool(['tools/test.py', 'configs/shapes/region_classification.py', CLIP, '--work-dir', str(tmp_path)],
                       SHAPES_ROOT=str(shapes_root))
    metrics = json.loads((tmp_path / 'metrics.json').read_text())
    assert 'boxes_top1' in printed
    assert {f'{name}_top{k}' for k in (1, 5) for name in ('boxes', 'thing_masks', 'stuff_masks', 'thing_crops',
                                                          'stuff_crops')} == metrics.keys()
    assert metrics['thing_crops_top1'] > metrics['boxes_top1']


@pytest.mark.parametrize('ending', ['.pth', '.pt', '.safetensors'])
def test_publish_and_reload_gives_the_same_features(tmp_path, ending):
    from rsc_mm.models import EVACLIPViT
    out = tmp_path / f'tower{ending}'
    run_tool(['tools/converters/publish_backbone.py', 'configs/shapes/clipself_grid.py', CLIP, str(out)])
    arch = dict(img_size=64, patch_size=8, embed_dim=192, depth=6, num_heads=3, num_classes=128, ref_feat_shape=(8, 8))
    towers = [EVACLIPViT(arch).eval() for _ in range(2)]
    for tower, path in zip(towers, (CLIP, out)):
        load_clip_checkpoint(tower, path if path is out else REPOSITORY / path)
    image = torch.randn(1, 3, 128, 96)
    with torch.no_grad():
        assert torch.equal(towers[0].encode_dense(image), towers[1].encode_dense(image))
    with pytest.raises(ValueError, match="trained with readout 'value'"):
        load_clip_checkpoint(EVACLIPViT(arch, readout='vanilla'), out)


def test_publish_takes_the_text_tower_of_the_original(tmp_path):
    out = tmp_path / 'clip.pt'
    original = {'text.ln_final.weight': torch.arange(3.), 'text.token_embedding.weight': torch.ones(2, 3),
                'visual.head.bias': torch.ones(2)}
    torch.save(original, tmp_path / 'original.pt')
    run_tool(['tools/converters/publish_backbone.py', 'configs/shapes/clipself_grid.py', CLIP, str(out), '--clip',
              str(tmp_path / 'original.pt')])
    weights = read_checkpoint(out)['state_dict']
    assert torch.equal(weights['text.ln_final.weight'], torch.arange(3.))
    assert weights['visual.head.bias'].shape == (128, )
    assert 'visual.blocks.0.attn.q_bias' in weights


def test_publish_refuses_other_endings():
    printed = run_tool(['tools/converters/publish_backbone.py', 'configs/shapes/clipself_grid.py', CLIP, 'tower.bin'],
                       status=1)
    assert "found the ending '.bin', expected one of" in printed


def test_benchmark_compares_methods_and_layouts(tmp_path):
    printed = run_tool(['tools/benchmarks/distillation.py', 'configs/shapes/clipself_grid.py',
                        'configs/shapes/r_sc_clipself.py',
                        '--layouts', 'square', 'rectangle', '--sizes', '64', '--rounds', '1', '--crops', '2',
                        '--json', str(tmp_path / 'rows.json')])
    rows = json.loads((tmp_path / 'rows.json').read_text())
    assert len(rows) == 4 and rows[0]['step_ratio'] == rows[0]['memory_ratio'] == 1
    assert 'memory_ratio' in printed and all(row['step_s'] > 0 and row['memory_mib'] > 0 for row in rows)
    assert rows[1]['gflops'] < rows[0]['gflops'] < rows[2]['gflops']


def test_benchmark_takes_every_kind_of_training():
    names = ['refiner', 'r_sc_region_text', 'r_sc_clipself_e2e']
    printed = run_tool(['tools/benchmarks/distillation.py', *(f'configs/shapes/{name}.py' for name in names), '--sizes',
                        '64', '--rounds', '1', '--crops', '3'])
    assert [line.split()[0] for line in printed.splitlines()[-3:]] == names


def test_benchmark_counts_the_fused_attention_of_a_cpu():
    from torch.nn.attention import SDPBackend, sdpa_kernel

    from rsc_mm.apis.benchmarks.distillation import step_flops

    class Model(torch.nn.Module):
        def forward(self, x: torch.Tensor, mode: str) -> dict[str, torch.Tensor]:
            return {'loss': torch.nn.functional.scaled_dot_product_attention(x, x, x).sum()}

    def tokens() -> dict[str, torch.Tensor]:
        return dict(x=torch.randn(2, 3, 10, 8, requires_grad=True))

    forward = 2 * 2 * (2 * 3 * 10 * 10 * 8)  # two products, multiplication and addition
    assert step_flops(Model(), tokens()) == 3.5 * forward  # the fused backward pass computes the logits again
    with sdpa_kernel(SDPBackend.MATH):
        assert step_flops(Model(), tokens()) == 3 * forward


def test_tools_refuse_what_they_cannot_do():
    assert 'nothing.pt: no such file' in run_tool(
        ['tools/test.py', 'configs/shapes/region_classification.py', 'nothing.pt'], status=1)
    assert 'expected numbers of at least 1' in run_tool(
        ['tools/benchmarks/distillation.py', 'configs/shapes/clipself_grid.py', '--rounds', '0'], status=1)


@pytest.mark.slow
@pytest.mark.skipif(not COCO_MINI.is_dir(), reason='real COCO images are not at hand')
def test_true_size_on_real_images(tmp_path):
    """A proof of plumbing on random weights: decode, crop, train 25 steps at B/16 size, evaluate what was saved."""
    name = 'clipself_vitb16_coco_patches_rect'
    generator = np.random.default_rng(0)
    np.save(tmp_path / 'classes.npy', generator.standard_normal((133, 512)).astype('float32'))
    embeddings = f'{tmp_path}/classes.npy'
    run_tool(['tools/train.py', f'configs/clipself/{name}.py', '--work-dir', str(tmp_path), '--cfg-options',
              'model.backbone.init_cfg=None', 'model.data_preprocessor.image_size=80',
              'model.data_preprocessor.crop_size=48', 'train_cfg.max_epochs=1', 'optim_wrapper.type=OptimWrapper',
              'train_dataloader.num_workers=0', 'train_dataloader.persistent_workers=False',
              'train_dataloader.dataset.regions.max_regions=2', 'optim_wrapper.optimizer.lr=1e-4', 'val_cfg=None',
              'val_dataloader=None', 'val_evaluator=None', 'param_scheduler=None', 'default_hooks.logger.interval=1'],
             COCO_ROOT=str(COCO_MINI))
    log, = tmp_path.glob('*/vis_data/scalars.json')
    losses = [json.loads(line)['loss'] for line in log.read_text().splitlines() if 'loss' in line]
    assert len(losses) == 25 and np.isfinite(losses).all()
    assert np.mean(losses[-5:]) < np.mean(losses[:5])
    printed = run_tool(['tools/test.py', 'configs/evaluation/region_classification_vitb16.py',
                        (tmp_path / 'last_checkpoint').read_text(), '--work-dir', str(tmp_path / 'test'),
                        '--cfg-options', f'test_evaluator.class_embeddings={embeddings}',
                        'model.data_preprocessor.image_size=80', 'model.data_preprocessor.crop_size=None',
                        'test_dataloader.num_workers=0', 'test_dataloader.persistent_workers=False',
                        'test_dataloader.batch_size=5'], COCO_ROOT=str(COCO_MINI))
    metrics = json.loads((tmp_path / 'test' / 'metrics.json').read_text())
    assert 'stuff_masks_top1' in printed
    assert metrics.keys() == {f'{name}_top{k}' for name in ('boxes', 'thing_masks', 'stuff_masks') for k in (1, 5)}
    assert all(0 <= value <= 100 for value in metrics.values())


def test_a_stage_two_configuration_evaluates_its_tower(shapes_root, tmp_path):
    results = []
    for name in ('region_classification', 'r_sc_v'):
        run_tool(['tools/test.py', f'configs/shapes/{name}.py', CLIP, '--work-dir', str(tmp_path / name),
                  '--cfg-options', 'model.data_preprocessor.crop_size=None'], SHAPES_ROOT=str(shapes_root))
        results.append(json.loads((tmp_path / name / 'metrics.json').read_text()))
    assert results[0] == results[1] and 'boxes_top1' in results[0]


def test_two_processes_evaluate_like_one(shapes_root, tmp_path):
    config = 'configs/shapes/region_classification.py'
    run_tool(['tools/test.py', config, CLIP, '--work-dir', str(tmp_path / 'one')], SHAPES_ROOT=str(shapes_root))
    with socket.socket() as server:
        server.bind(('127.0.0.1', 0))
        port = server.getsockname()[1]
    subprocess.run(['bash', 'tools/dist_test.sh', config, CLIP, '2', '--work-dir', str(tmp_path / 'two'),
                    '--cfg-options', 'test_dataloader.batch_size=2'], check=True, capture_output=True, cwd=REPOSITORY,
                   env={**os.environ, 'PYTHON': sys.executable, 'PORT': str(port), 'SHAPES_ROOT': str(shapes_root)})
    one, two = (json.loads((tmp_path / run / 'metrics.json').read_text()) for run in ('one', 'two'))
    assert one == pytest.approx(two)


@pytest.mark.slow
def test_every_tool_explains_itself_without_mmdet_and_mmseg():
    code = """
import contextlib, io, pathlib, runpy, sys
sys.modules.update(dict.fromkeys(['mmcv', 'mmdet', 'mmseg']))
for path in sorted(map(str, pathlib.Path('tools').rglob('*.py'))):
    sys.argv = [path, '--help']
    try:
        with contextlib.redirect_stdout(io.StringIO()) as said:
            runpy.run_path(path, run_name='__main__')
    except SystemExit as stopped:
        print(path, stopped.code, said.getvalue()[:5])"""
    lines = run_tool(['-W', 'ignore', '-c', code]).splitlines()
    assert len(lines) == len(list((REPOSITORY / 'tools').rglob('*.py')))
    assert not [line for line in lines if not line.endswith(' 0 usage')]
