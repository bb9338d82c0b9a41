from pathlib import Path

import pytest

from rsc_mm.apis.benchmarks import annotations
from rsc_mm.datasets import packed_annotations


def test_both_starts_read_the_same_boxes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed_annotations, 'PACK_FROM', 0)
    path = annotations.generate(tmp_path / 'proposals.json', 20, 3)
    first, second = (annotations.read(path, str(tmp_path)) for _ in range(2))
    assert first['regions'] == second['regions'] == 60 and first['sum'] == second['sum'] > 0
    assert (tmp_path / 'proposals-bbox.safetensors').is_file()
    assert first['seconds'] > 0 and second['mapped_mib'] >= 0
