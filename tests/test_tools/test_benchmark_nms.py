"""mmdet's class-wise NMS beside ours; nothing here depends on how long anything takes."""
import json
import sys

import pytest

pytest.importorskip('mmcv._ext', reason="needs mmcv's operators")
pytest.importorskip('mmdet', reason='needs mmdet')
from tests.test_tools.common import load_tool  # noqa: E402


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, 'argv', ['tool', *map(str, arguments)])
    load_tool('benchmarks/nms').main()


def test_both_functions_on_the_same_boxes(monkeypatch, capsys, tmp_path):
    run(monkeypatch, '--boxes', 200, '--classes', 70, '--max-num', 30, '--rounds', 2, '--json', tmp_path / 'rows.json')
    rows = json.loads((tmp_path / 'rows.json').read_text())
    assert [(row['nms'], row['detections'], row['equal']) for row in rows] == [
        ('mmdet', 30, True), ('shared boxes', 30, True)]
    assert rows[0]['pairs'] == rows[1]['pairs'] > 10_000, 'the path with a call for each class'
    assert rows[0]['ratio'] == 1 and rows[1]['ratio'] == rows[1]['seconds'] / rows[0]['seconds'] > 0
    assert capsys.readouterr().out.splitlines()[0].split() == list(rows[0])


def test_a_wrong_result_would_be_seen(monkeypatch, tmp_path):
    from rsc_mm.apis.benchmarks import nms
    monkeypatch.setattr(nms, 'shared_box_nms', lambda *args: tuple(x.flip(0) for x in nms.multiclass_nms(*args)))
    rows = nms.measure(50, 5, 1e-4, 0.5, 20, 1)
    assert [row['equal'] for row in rows] == [False, False]


def test_numbers_below_one_are_refused(monkeypatch):
    with pytest.raises(SystemExit, match='--boxes, --classes, --max-num and --rounds: expected numbers of at least 1'):
        run(monkeypatch, '--rounds', 0)
