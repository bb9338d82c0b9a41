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


def test_the_peak_is_of_a_pass(config, monkeypatch):
    monkeypatch.setattr(segmentation, 'settle_memory', lambda: None)  # for processes of their own
    assert segmentation.peak_of_a_pass((str(config), 5, 2, (40, 56))) >= 0


def test_other_models_and_numbers_are_refused(tmp_path, config, monkeypatch):
    path = tmp_path / 'other.py'
    Config(dict(model=dict(type='rsc_mm.FViT'))).dump(path)
    with pytest.raises(ValueError, match="other.py: found model.type 'rsc_mm.FViT', expected 'rsc_mm.CATSeg'"):
        segmentation.Case(str(path), 5, 0, (40, 56))
    monkeypatch.setattr(sys, 'argv', ['tool', str(config), '--rounds', '0'])
    with pytest.raises(SystemExit, match='expected numbers of at least 1'):
        load_tool('benchmarks/segmentation').main()
