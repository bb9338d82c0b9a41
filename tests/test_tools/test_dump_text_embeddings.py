import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from rsc_mm.models.text import CLIPTextEncoder, class_embeddings, load_class_embeddings, read_class_names

TOOL = Path(__file__).parents[2] / 'tools' / 'data' / 'dump_text_embeddings.py'
ARCH = {'embed_dim': 8, 'context_length': 24, 'width': 16, 'heads': 2, 'layers': 2}


@pytest.fixture(scope='module')
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location('dump_text_embeddings', TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def options(tmp_path: Path) -> list[str]:
    torch.manual_seed(0)
    torch.save(CLIPTextEncoder(ARCH, None).state_dict(), tmp_path / 'text.pt')
    return ['--checkpoint', str(tmp_path / 'text.pt'), '--arch', json.dumps(ARCH), '--prompts', 'single']


@pytest.mark.parametrize('suffix', ['.pt', '.npy', '.safetensors'])
def test_writes_what_configs_read(tool: ModuleType, options: list[str], tmp_path: Path, suffix: str,
                                  monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / f'out{suffix}'
    monkeypatch.setattr(sys, 'argv', ['tool', 'red car, dog', str(out), '--background', *options])
    tool.main()
    names = ['red car', 'dog', 'background']
    expected = class_embeddings(names, CLIPTextEncoder(ARCH, tmp_path / 'text.pt'), 'single')
    torch.testing.assert_close(load_class_embeddings(out, names), expected, atol=1e-6, rtol=0)


def test_names_of_every_kind(tool: ModuleType, tmp_path: Path) -> None:
    (tmp_path / 'names.txt').write_text('red car\ndog\n')
    assert tool.given_names(str(tmp_path / 'names.txt')) == ['red car', 'dog'] == tool.given_names('red car,dog')
    assert len(tool.given_names('coco_panoptic')) == 133
    panoptic = read_class_names('coco_panoptic')
    assert tool.given_names(','.join(panoptic)) == panoptic  # longer than a file's name may be


def test_bad_ending_is_refused_before_any_work(tool: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, 'argv', ['tool', 'coco', 'out.csv', '--checkpoint', 'none.pt'])
    with pytest.raises(SystemExit, match=r"'\.csv', expected one of"):
        tool.main()


def test_help_names_vocabularies_and_formats(tool: ModuleType, monkeypatch: pytest.MonkeyPatch,
                                             capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr(sys, 'argv', ['tool', '--help'])
    with pytest.raises(SystemExit, match='0'):
        tool.main()
    text = capsys.readouterr().out
    assert 'F-ViT' in text and 'CLIPSelf' in text and 'coco_panoptic' in text
