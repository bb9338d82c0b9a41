import json
from pathlib import Path

import pytest

from rsc_mm.datasets import json_stream
from rsc_mm.datasets.json_stream import read_members

DOCUMENTS = [
    {}, {'a': []}, {'a': [1]}, {'a': [12.5, -3e10, True, None, 'x,]}"\\é']},
    {'a': [{'b': [1, {'c': '}'}]}, []], 'd': 7},
    {'list': list(range(500)), 'text': 'long ' * 50, 'deep': {'x': [[[]]]}}, {'n': float('inf')},
]


@pytest.mark.parametrize('window', [1, 2, 7, 64, 1 << 22])
@pytest.mark.parametrize('indent', [None, 2])
def test_any_window_reads_what_json_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, window: int,
                                          indent: int | None) -> None:
    monkeypatch.setattr(json_stream, '_WINDOW', window)
    for document in DOCUMENTS:
        (tmp_path / 'a.json').write_text(json.dumps(document, indent=indent, ensure_ascii=False), encoding='utf-8')
        assert read_members(tmp_path / 'a.json') == document


def test_a_list_passes_through_its_reader_and_other_lists_are_left_out(tmp_path: Path) -> None:
    (tmp_path / 'a.json').write_text('{"a": [1, 2], "b": [3], "c": {"a": [4]}, "d": 5}')
    content = read_members(tmp_path / 'a.json', {'a': sum, 'd': sum})
    assert content == {'a': 3, 'b': None, 'c': {'a': [4]}, 'd': 5}


@pytest.mark.parametrize('window', [3, 1 << 22])
@pytest.mark.parametrize('text', ['', '{"a": [1,\n 2', '{"a": [1,\n\n  2 3]}', '{"a" 1}', '{"a": [tru]}', '{"a": 1} x',
                                  '{"a": [1,]}', '{a: 1}', '{"a": "x'])
def test_an_error_has_the_place_that_json_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, window: int,
                                                text: str) -> None:
    monkeypatch.setattr(json_stream, '_WINDOW', window)
    (tmp_path / 'a.json').write_text(text)
    with pytest.raises(json.JSONDecodeError) as expected:
        json.loads(text)
    place = f'line {expected.value.lineno} '
    with pytest.raises(ValueError, match=r'a\.json: found no valid json .*' + place + '.*is it complete'):
        read_members(tmp_path / 'a.json')


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / 'a.json').write_bytes(b'{"a": "\xff"}')
    with pytest.raises(ValueError, match=r"a\.json: found no valid json \('utf-8' codec can't decode byte 0xff"):
        read_members(tmp_path / 'a.json')
