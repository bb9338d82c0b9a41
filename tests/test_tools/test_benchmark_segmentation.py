"""The test pass of a tiny CAT-Seg by stage; nothing here depends on how long anything takes."""
import json
import sys

import pytest
from mmengine.config import Config

pytest.importorskip('mmcv._ext', reason="needs mmcv's operators")
pytest.importorskip('mmseg', reason='needs mmseg')
from rsc_mm.apis.benchmarks import segmentation  # noqa: E402
from tests.test_models.test_segmentors.tiny import tiny_config  # noqa: E402
from tests.test_tools.common import load_tool  # noqa: E402

# Stand-ins for the project's modules: what the benchmark asks of them, and nothing of what they are.
AGGREGATOR = """
import torch
from ..utils import PROMPTS

class Layer(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.spatial_agg, self.class_agg = torch.nn.Identity(), torch.nn.Identity()

class CATSegAggregator(torch.nn.Module):
    def __init__(self, text_guidance_dim, appearance_guidance_dim, embed_dims, num_layers, num_heads, window_size,
                 pooling_size, prompt_channel):
        super().__init__()
        assert (text_guidance_dim, embed_dims, num_layers, num_heads, window_size) == (24, 16, 2, 2, 2)
        assert (appearance_guidance_dim, prompt_channel, pooling_size) == (1024, PROMPTS, (1, 1))
        self.layers = torch.nn.ModuleList(Layer() for _ in range(num_layers))

    def forward(self, inputs):
        assert [x.shape[1] for x in inputs['appearance_feat']] == [256, 512, 1024]
        cost = torch.einsum('bchw,tpc->bthw', inputs['clip_img_feat'], inputs['clip_text_feat_test'])
        for layer in self.layers:
            cost = layer.class_agg(layer.spatial_agg(cost))
        return cost
"""
HEAD = """
from mmseg.models.decode_heads.decode_head import BaseDecodeHead

class CATSegHead(BaseDecodeHead):
    def __init__(self, embed_dims, decoder_guidance_dims, **kwargs):
        super().__init__(**kwargs)
        assert decoder_guidance_dims == (512, 256)

    def forward(self, inputs):
        return inputs
"""
STAGES = ['tower', 'space', 'classes', 'decoder', 'total']


@pytest.fixture
def config(tmp_path):
    """A tiny segmentor's configuration, with weights that are not at hand."""
    model = tiny_config()
    model.backbone.init_cfg = dict(type='Pretrained', checkpoint='nothing.pt')
    model.decode_head.vocabulary.init_cfg = dict(type='Pretrained', checkpoint='nothing.pt')
    path = tmp_path / 'tiny.py'
    Config(dict(model=model)).dump(path)
    return path


def test_the_tool_prints_a_line_for_each_stage_and_chunk_size(config, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(segmentation, 'memory_of', lambda choice: 2**20 * (1 + choice[2]))
    monkeypatch.setattr(sys, 'argv', ['tool', str(config), '--classes', '5', '--chunk-sizes', '0', '2', '--shape', '40',
                                      '56', '--rounds', '2', '--json', str(tmp_path / 'rows.json')])
    load_tool('benchmarks/segmentation').main()
    rows = json.loads((tmp_path / 'rows.json').read_text())
    assert [(row['chunk_size'], row['stage']) for row in rows] == [(size, stage) for size in (0, 2) for stage in STAGES]
    assert all(row['classes'] == 5 and 0 < row['share'] <= 1 for row in rows)
    assert [row['memory_mib'] for row in rows if row['stage'] == 'total'] == [1, 3]
    assert all(row['ratio'] == 1 for row in rows[:5])
    assert rows[9]['ratio'] == rows[9]['seconds'] / rows[4]['seconds']
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].split()[:4] == ['config', 'classes', 'chunk_size', 'stage'] and len(printed) == 11


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A stand-in for mmsegmentation's project CAT-Seg; the parts that the benchmark leaves alone do not import."""
    files = {'__init__': 'import not_at_hand', 'models/__init__': 'import not_at_hand', 'utils/__init__': 'PROMPTS = 1',
             'models/cat_aggregator': AGGREGATOR, 'models/cat_head': HEAD}
    for name, text in files.items():
        path = tmp_path / 'project' / 'cat_seg' / f'{name}.py'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    yield tmp_path / 'project'
    for name in [name for name in sys.modules if name.partition('.')[0] == 'cat_seg']:
        del sys.modules[name]


def test_the_reference_runs_in_the_same_turns(config, project, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(segmentation, 'memory_of', lambda choice: 2**20)
    arguments = ['tool', str(config), '--classes', '5', '7', '--chunk-sizes', '0', '--shape', '64', '64', '--rounds',
                 '1', '--json', str(tmp_path / 'rows.json'), '--reference']
    monkeypatch.setattr(sys, 'argv', [*arguments, str(project)])
    load_tool('benchmarks/segmentation').main()
    rows = json.loads((tmp_path / 'rows.json').read_text())
    assert [(row['config'], row['classes']) for row in rows[::5]] == [
        ('tiny', 5), ('tiny', 7), ('reference', 5), ('reference', 7)]
    assert [row['stage'] for row in rows] == STAGES * 4
    assert all(row['seconds'] > 0 for row in rows) and rows[14]['ratio'] == rows[14]['seconds'] / rows[4]['seconds']
    assert capsys.readouterr().out.count('nan') == 2, 'the memory of another package is not measured'
    monkeypatch.setattr(sys, 'argv', [*arguments, str(tmp_path)])
    with pytest.raises(FileNotFoundError, match='found no cat_seg/models/cat_aggregator.py, expected the folder proj'):
        load_tool('benchmarks/segmentation').main()
    arguments[8] = '40'
    monkeypatch.setattr(sys, 'argv', [*arguments, str(project)])
    with pytest.raises(ValueError, match=r'--reference: found --shape 40 64, expected .*tiny.py.s own size, .64, 64.'):
        load_tool('benchmarks/segmentation').main()


def test_memory_alone(config, monkeypatch, capsys):
    monkeypatch.setattr(segmentation, 'memory_of', lambda choice: 2**20 * (1 + choice[2]))
    monkeypatch.setattr(sys, 'argv', ['tool', str(config), '--classes', '5', '--chunk-sizes', '0', '2', '--rounds',
                                      '0'])
    load_tool('benchmarks/segmentation').main()
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ['config', 'classes', 'chunk_size', 'memory_mib'], ['tiny', '5', '0', '1.000'], ['tiny', '5', '2', '3.000']]


def test_the_peak_is_of_a_pass(config, monkeypatch):
    monkeypatch.setattr(segmentation, 'settle_memory', lambda: None)  # for processes of their own
    assert segmentation.peak_of_a_pass((str(config), 5, 2, (40, 56))) >= 0


def test_other_models_and_numbers_are_refused(tmp_path, config, monkeypatch):
    path = tmp_path / 'other.py'
    Config(dict(model=dict(type='rsc_mm.FViT'))).dump(path)
    with pytest.raises(ValueError, match="other.py: found model.type 'rsc_mm.FViT', expected 'rsc_mm.CATSeg'"):
        segmentation.Case(str(path), 5, 0, (40, 56))
    monkeypatch.setattr(sys, 'argv', ['tool', str(config), '--rounds', '-1'])
    with pytest.raises(SystemExit, match='expected numbers of at least 1'):
        load_tool('benchmarks/segmentation').main()
