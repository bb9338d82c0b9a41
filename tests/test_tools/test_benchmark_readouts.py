"""The cost of readouts on the tiny tower; nothing here depends on how long anything takes."""
import json
import sys

import pytest

from tests.test_tools.common import REPOSITORY, load_tool

CONFIG = 'configs/shapes/declip_qq.py'  # weights are not read
C, TOKENS, BLOCKS, PATCH, D = 192, 16, 6, 8, 128


@pytest.fixture
def rows(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.setattr(sys, 'argv', ['readouts.py', CONFIG, '--size', '32', '--rounds', '2', '--json',
                                      str(tmp_path / 'rows.json')])
    load_tool('benchmarks/readouts').main()
    assert capsys.readouterr().out.split()[:5] == ['readout', 'size', 'gflops', 'seconds', 'ratio']
    return {row['readout']: row for row in json.loads((tmp_path / 'rows.json').read_text())}


def test_a_line_for_each_readout_with_the_ratio_to_the_first(rows):
    assert list(rows) == ['value', 'qq', 'csa', 'hsg'] and rows['value']['ratio'] == 1
    assert all(row['seconds'] > 0 and row['size'] == 32 for row in rows.values())
    assert rows['hsg']['ratio'] == rows['hsg']['seconds'] / rows['value']['seconds']


def test_flops_are_those_of_the_matrix_products(rows):
    """By hand: 16 patches and a class token; the value path is a block without query, key and attention."""
    hidden = 512  # SwiGLU's of this tower: two layers in, one out
    rest = 2 * (TOKENS * 3 * PATCH * PATCH * C + TOKENS * C * D)  # patches in, embeddings out
    block = 2 * 17 * (4 * C * C + 3 * C * hidden + 2 * 17 * C)
    feed_forward = 2 * TOKENS * 3 * C * hidden
    value = rest + (BLOCKS - 1) * block + 2 * TOKENS * 2 * C * C + feed_forward
    qq = rest + (BLOCKS - 1) * block + 2 * 17 * (3 * C * C + 2 * 17 * C)
    gates = 2 * TOKENS * C * 3
    hsg = rest + (BLOCKS - 1) * block + 3 * (2 * TOKENS * 2 * C * C + gates)
    found = [rows[name]['gflops'] * 1e9 for name in ('value', 'qq', 'hsg')]
    assert found == pytest.approx([value, qq, hsg], rel=1e-6)
