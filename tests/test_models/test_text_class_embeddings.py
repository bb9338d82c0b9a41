from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from rsc_mm.models.text import (
    CLIPTextEncoder,
    class_embeddings,
    load_class_embeddings,
    read_embeddings,
    write_embeddings,
)

ARCH = {'embed_dim': 8, 'context_length': 24, 'width': 16, 'heads': 2, 'layers': 2}
NAMES = ['dog', 'hot_dog', 'apple']


@pytest.fixture(scope='module')
def encoder() -> CLIPTextEncoder:
    torch.manual_seed(0)
    return CLIPTextEncoder(ARCH, None)


@pytest.fixture
def checkpoint(encoder: CLIPTextEncoder, tmp_path: Path) -> str:
    torch.save(encoder.state_dict(), tmp_path / 'text.pt')
    return str(tmp_path / 'text.pt')


def test_mean_of_unit_vectors_by_a_slow_loop(encoder: CLIPTextEncoder) -> None:
    templates = ['a photo of {article} {}.', 'itap of the {}.']
    rows = []
    for word in ('dog', 'hot dog', 'apple'):
        texts = [f"a photo of {'an' if word == 'apple' else 'a'} {word}.", f'itap of the {word}.']
        vectors = [encoder.encode([text], normalize=False)[0] for text in texts]
        total = sum(vector / vector.norm() for vector in vectors) / 2
        rows.append(total / total.norm())
    torch.testing.assert_close(class_embeddings(NAMES, encoder, templates), torch.stack(rows), atol=1e-6, rtol=0)


def test_synonyms_share_a_row(encoder: CLIPTextEncoder) -> None:
    joint = class_embeddings(['car, auto'], encoder, 'single', synonyms=',')
    apart = class_embeddings(['car', 'auto'], encoder, 'single')
    torch.testing.assert_close(joint[0], F.normalize(apart.mean(dim=0), dim=0), atol=1e-6, rtol=0)
    whole = class_embeddings(['car, auto'], encoder, 'single')
    torch.testing.assert_close(whole, encoder.encode(['a photo of a car, auto.']), atol=1e-6, rtol=0)


def test_prompts_read_aliases(encoder: CLIPTextEncoder, tmp_path: Path) -> None:
    names = ['diningtable', 'cat']
    found = class_embeddings(names, encoder, 'single', tmp_path, aliases={'diningtable': 'dining table', 'dog': 'wolf'})
    torch.testing.assert_close(found, encoder.encode(['a photo of a dining table.', 'a photo of a cat.']), atol=1e-6,
                               rtol=0)
    assert not torch.allclose(found[0], class_embeddings(names, encoder, 'single', tmp_path)[0])  # another cached file
    assert [read_embeddings(path)[0] for path in tmp_path.iterdir()] == [names] * 2  # labels stay


@pytest.mark.parametrize('fields', [{'names': 'voc20'}, {'aliases': 'voc20'}, {'aliases': {'tvmonitor': 'tv monitor'}}])
def test_configs_take_aliases(checkpoint: str, encoder: CLIPTextEncoder, tmp_path: Path, fields: dict) -> None:
    encoder_fields = dict(arch=ARCH, checkpoint=checkpoint)
    spec = {'text_encoder': encoder_fields, 'prompts': 'single', 'cache_dir': tmp_path, **fields}
    found = load_class_embeddings(spec, ['tvmonitor'])
    torch.testing.assert_close(found, encoder.encode(['a photo of a tv monitor.']), atol=1e-6, rtol=0)
    raw = load_class_embeddings({**spec, 'aliases': None}, ['tvmonitor'])
    torch.testing.assert_close(raw, encoder.encode(['a photo of a tvmonitor.']), atol=1e-6, rtol=0)


def test_cache_is_used_and_keyed(encoder: CLIPTextEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = class_embeddings(NAMES, encoder, 'single', tmp_path)
    class_embeddings(NAMES[:2], encoder, 'single', tmp_path)
    class_embeddings(NAMES, encoder, ['{}'], tmp_path)
    class_embeddings(NAMES, encoder, 'single', tmp_path, synonyms=',')
    torch.manual_seed(1)
    class_embeddings(NAMES, CLIPTextEncoder(ARCH, None), 'single', tmp_path)
    quick = CLIPTextEncoder({**ARCH, 'quick_gelu': True}, encoder.state_dict())
    class_embeddings(NAMES, quick, 'single', tmp_path)
    assert len(list(tmp_path.iterdir())) == 6
    monkeypatch.setattr(encoder, 'encode', None)  # a hit does not run the tower
    assert torch.equal(class_embeddings(NAMES, encoder, 'single', tmp_path), first)


def test_damaged_cache_is_named(encoder: CLIPTextEncoder, tmp_path: Path) -> None:
    class_embeddings(NAMES, encoder, 'single', tmp_path)
    path = next(tmp_path.iterdir())
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(ValueError, match=rf'{path.name}: cannot be read.*delete it'):
        class_embeddings(NAMES, encoder, 'single', tmp_path)


@pytest.mark.parametrize('suffix', ['.safetensors', '.pt', '.npy'])
def test_files_round_trip(tmp_path: Path, suffix: str) -> None:
    embeddings = F.normalize(torch.randn(3, 8), dim=1)
    path = tmp_path / f'embeddings{suffix}'
    write_embeddings(path, NAMES, embeddings)
    names, found = read_embeddings(path)
    assert names == (None if suffix == '.npy' else NAMES)
    torch.testing.assert_close(found, embeddings, atol=1e-7, rtol=0)
    torch.testing.assert_close(load_class_embeddings(path, NAMES), embeddings, atol=1e-7, rtol=0)
    assert [item.name for item in tmp_path.iterdir()] == [path.name]


def test_fvit_rows_are_chosen_by_name_and_missing_names_listed(tmp_path: Path) -> None:
    rows = torch.eye(3)
    torch.save(dict(zip([*NAMES[:2], 'background'], rows)), tmp_path / 'fvit.pt')
    assert torch.equal(load_class_embeddings(tmp_path / 'fvit.pt', ['background', 'dog']), rows[[2, 0]])
    with pytest.raises(ValueError, match=r"fvit\.pt: found 3 names, but not \['apple', 'pear'\]"):
        load_class_embeddings(tmp_path / 'fvit.pt', ['dog', 'apple', 'pear'])


def test_clipself_rows_are_counted_and_normalised(tmp_path: Path) -> None:
    np.save(tmp_path / 'clipself.npy', np.array([[3.0, 4.0], [0.0, 2.0]]))
    expected = torch.tensor([[0.6, 0.8], [0.0, 1.0]])
    torch.testing.assert_close(load_class_embeddings(str(tmp_path / 'clipself.npy'), NAMES[:2]), expected)
    with pytest.raises(ValueError, match=r'clipself\.npy: found 2 rows without names, expected 3'):
        load_class_embeddings(tmp_path / 'clipself.npy', NAMES)


def test_tensor_spec() -> None:
    assert torch.equal(load_class_embeddings(2 * torch.eye(3), NAMES), torch.eye(3))


def test_config_spec(encoder: CLIPTextEncoder, checkpoint: str, tmp_path: Path) -> None:
    spec = {'names': 'coco_novel', 'text_encoder': {'arch': ARCH, 'checkpoint': checkpoint}, 'prompts': 'single',
            'cache_dir': str(tmp_path / 'cache')}
    embeddings = load_class_embeddings(spec)
    assert embeddings.shape == (17, 8)
    torch.testing.assert_close(load_class_embeddings(spec, ['cat', 'bus']), embeddings[[2, 1]])
    del spec['names']
    torch.testing.assert_close(load_class_embeddings(spec, ['cat', 'bus']), embeddings[[2, 1]], atol=1e-6, rtol=0)
    assert len(list((tmp_path / 'cache').iterdir())) == 2


@pytest.mark.parametrize('spec', [{'text_encoder': {}}, {'names': 'coco'},
                                  {'names': 'coco', 'text_encoder': {}, 'prompt': 'vild'}])
def test_bad_config(spec: dict) -> None:
    with pytest.raises(ValueError, match="config 'class_embeddings': found the fields"):
        load_class_embeddings(spec)


@pytest.mark.parametrize('name', ['a.pt', 'a.npy', 'a.safetensors', 'a.csv'])
def test_bad_files_are_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text('no')
    with pytest.raises(ValueError, match=rf'{name}: .*expected'):
        load_class_embeddings(tmp_path / name)


def test_absent_file_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r'dump_text_embeddings\.py'):
        load_class_embeddings(tmp_path / 'none.pt')


@pytest.mark.parametrize('rows', [torch.zeros(2, 3), torch.full((2, 3), torch.nan), torch.ones(3), torch.ones(0, 3)])
def test_rows_must_have_a_direction(rows: torch.Tensor) -> None:
    with pytest.raises(ValueError, match='found'):
        load_class_embeddings(rows)


def test_pt_cannot_hold_a_name_twice(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\['dog'\] twice"):
        write_embeddings(tmp_path / 'a.pt', ['dog', 'dog'], torch.eye(2))


@pytest.mark.parametrize('suffix', ['.pt', '.npy', '.safetensors'])
def test_embeddings_that_are_not_finite_are_not_written(tmp_path: Path, suffix: str) -> None:
    rows = torch.tensor([[1., 0], [float('nan'), 1]])
    with pytest.raises(ValueError, match=r"out.*: found NaN or infinity for \['dog'\] \(1 of 2 names\), expected"):
        write_embeddings(tmp_path / f'out{suffix}', ['cat', 'dog'], rows)
    assert not list(tmp_path.iterdir())
